//! `cargo xtask image`: the container images, built without Docker. Users build the same images
//! with the Dockerfile.

use crate::progress::Progress;
use crate::{model, workspace};
use anyhow::{Context, Result};
use clap::Args;
use personaguard_cluster::{Cache, Cluster, Image, ImageFile, run as finish};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each binary, and the name of its image.
const PROGRAMS: [(&str, &str); 3] = [
    ("personaguard", "personaguard:dev"),
    ("personaguard-operator", "personaguard-operator:dev"),
    ("chat-app", "chat-app:dev"),
];
const MODEL: &str = "smollm2-135m:1";
/// The operator's image in a local cluster.
pub(crate) const OPERATOR: &str = "localhost/personaguard-operator:dev";

/// Build the container images: the sidecar, the operator, the demo's chat app and the demo's model.
///
/// Each holds a binary, the shared libraries that it needs, a user other than root, and the host's
/// certificate authorities. The model's image holds only the file /model.gguf.
#[derive(Args)]
pub(crate) struct Options {
    /// Import the images into the local cluster with this name.
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    into: Option<String>,
    /// Write the images as docker-archives into this folder, for `docker load`, `kind load
    /// image-archive` or `skopeo copy`.
    #[arg(long, value_name = "DIR", required_unless_present = "into")]
    out: Option<PathBuf>,
    /// Prefix of each image's name.
    #[arg(long, value_name = "PREFIX", default_value = "localhost")]
    registry: String,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    workspace::build(&progress)?;
    let weights = model::ensure(&cache, &progress)?;
    if let Some(name) = &options.into {
        let mut cluster = Cluster::open(&cache, name)?;
        import(&mut cluster, &weights, &progress)?;
    }
    if let Some(folder) = &options.out {
        write(folder, &options.registry, &weights, &progress)?;
    }
    Ok(())
}

/// Imports every image that has changed into a local cluster.
///
/// # Errors
/// A binary is missing, or containerd refuses an image.
pub(crate) fn import(cluster: &mut Cluster, weights: &Path, progress: &Progress) -> Result<()> {
    for image in all("localhost", weights)? {
        progress.step(&format!("importing {}", image.reference));
        if !cluster.import(&image)? {
            progress.step(&format!("{} is there already", image.reference));
        }
    }
    progress.done();
    Ok(())
}

/// Writes every image as an archive, and prints what to do with them.
fn write(folder: &Path, registry: &str, weights: &Path, progress: &Progress) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for image in all(registry, weights)? {
        let name = image.reference.rsplit('/').next().unwrap_or_default().replace(':', "_");
        let path = folder.join(format!("{name}.tar"));
        progress.step(&format!("writing {}", path.display()));
        image.write(&path)?;
        progress.done();
        println!("{}  {}", image.reference, path.display());
    }
    println!(
        "\nInto a kind cluster: kind load image-archive FILE. To a registry: skopeo copy \
         docker-archive:FILE docker://REFERENCE."
    );
    Ok(())
}

fn all(registry: &str, weights: &Path) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for (program, name) in PROGRAMS {
        let path = stripped(&workspace::binaries().join(program))?;
        let image = Image::for_program(&format!("{registry}/{name}"), &path);
        images.push(image.with_context(|| format!("the image of {}", path.display()))?);
    }
    let mut model = Image::new(&format!("{registry}/{MODEL}"));
    model.add("model.gguf", ImageFile::Copy(weights.to_owned(), 0o644));
    images.push(model);
    Ok(images)
}

/// The binary without its line tables, which are most of its size. Function names stay, for
/// backtraces.
fn stripped(program: &Path) -> Result<PathBuf> {
    let folder = program.parent().context("a binary without a folder")?.join("stripped");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(program.file_name().context("a binary without a name")?);
    finish(Command::new("strip").arg("--strip-debug").arg("-o").arg(&path).arg(program))
        .context("strip is missing: it comes with the linker that Rust needs (package binutils)")?;
    Ok(path)
}
