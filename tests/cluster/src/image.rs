//! Container images built from files without Docker, as docker-archives with one layer. The same
//! content makes the same bytes.

#[cfg(test)]
mod tests;

use crate::run::capture;
use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pause image, which holds a pod's namespaces open.
pub(crate) const PAUSE: &str = "localhost/pause:1";

/// User and group of every image.
const NONROOT: u32 = 65532;

/// An image to build.
#[derive(Clone, Debug)]
pub struct Image {
    /// The reference with its tag, such as `localhost/chat-app:dev`.
    pub reference: String,
    /// Program and arguments; empty for an image that holds only files.
    pub entrypoint: Vec<String>,
    /// By path in the image, without a leading slash.
    files: BTreeMap<String, ImageFile>,
}

/// One file of an image.
#[derive(Clone, Debug)]
pub enum ImageFile {
    /// A copy of a file of the host, with these permission bits.
    Copy(PathBuf, u32),
    /// These bytes, readable by all.
    Bytes(Vec<u8>),
}

impl Image {
    /// An image without files.
    #[must_use]
    pub fn new(reference: &str) -> Self {
        Self { reference: reference.to_owned(), entrypoint: Vec::new(), files: BTreeMap::new() }
    }

    /// An image that runs a program. It holds the program, the shared libraries that `ldd` lists, a
    /// user other than root, and the host's certificate authorities.
    ///
    /// # Errors
    /// `ldd` fails, or a library is missing.
    pub fn for_program(reference: &str, program: &Path) -> Result<Self> {
        let mut image = Self::new(reference);
        let name = program
            .file_name()
            .and_then(|name| name.to_str())
            .context("the program has no name")?;
        let inside = format!("usr/local/bin/{name}");
        image.add(&inside, ImageFile::Copy(program.to_owned(), 0o755));
        for library in libraries(&capture(Command::new("ldd").arg(program))?)? {
            image.add(
                library.trim_start_matches('/'),
                ImageFile::Copy(PathBuf::from(&library), 0o755),
            );
        }
        image.add(
            "etc/passwd",
            ImageFile::Bytes(
                format!("nonroot:x:{NONROOT}:{NONROOT}:nonroot:/:/sbin/nologin\n").into(),
            ),
        );
        image.add("etc/group", ImageFile::Bytes(format!("nonroot:x:{NONROOT}:\n").into()));
        let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if authorities.is_file() {
            image.add(
                "etc/ssl/certs/ca-certificates.crt",
                ImageFile::Copy(authorities.to_owned(), 0o644),
            );
        }
        image.entrypoint = vec![format!("/{inside}")];
        Ok(image)
    }

    /// Adds or replaces a file.
    pub fn add(&mut self, path: &str, file: ImageFile) {
        self.files.insert(path.to_owned(), file);
    }

    /// Writes the archive and returns its SHA-256.
    ///
    /// # Errors
    /// A file cannot be read, or the archive cannot be written.
    pub fn write(&self, archive: &Path) -> Result<String> {
        let layer_path = archive.with_extension("layer");
        let mut layer = HashingWriter::new(BufWriter::new(File::create(&layer_path)?));
        self.layer(&mut layer).with_context(|| format!("building the image {}", self.reference))?;
        let (mut file, layer_digest) = layer.finish();
        file.flush()?;

        let config = serde_json::to_vec(&json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": format!("{NONROOT}:{NONROOT}"),
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "history": [{"created_by": "cargo xtask image"}],
        }))?;
        let config_name = format!("{}.json", hex::encode(Sha256::digest(&config)));
        let manifest = serde_json::to_vec(&json!([
            {"Config": config_name, "RepoTags": [self.reference], "Layers": ["layer.tar"]},
        ]))?;

        let mut outer =
            tar::Builder::new(HashingWriter::new(BufWriter::new(File::create(archive)?)));
        entry(&mut outer, "manifest.json", 0o644, manifest.len() as u64, manifest.as_slice())?;
        entry(&mut outer, &config_name, 0o644, config.len() as u64, config.as_slice())?;
        let layer = File::open(&layer_path)?;
        entry(&mut outer, "layer.tar", 0o644, layer.metadata()?.len(), layer)?;
        let (mut file, digest) = outer.into_inner()?.finish();
        file.flush()?;
        std::fs::remove_file(layer_path)?;
        Ok(digest)
    }

    fn layer(&self, to: &mut impl Write) -> Result<()> {
        let mut tar = tar::Builder::new(to);
        let mut folders = std::collections::BTreeSet::from(["tmp/".to_owned()]);
        for path in self.files.keys() {
            folders.extend(path.match_indices('/').map(|(end, _)| path[..=end].to_owned()));
        }
        for folder in folders {
            let mut header = header(if folder == "tmp/" { 0o1777 } else { 0o755 }, 0);
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, &folder, io::empty())?;
        }
        for (path, file) in &self.files {
            match file {
                ImageFile::Copy(source, mode) => {
                    let file = File::open(source)
                        .with_context(|| format!("reading {}", source.display()))?;
                    entry(&mut tar, path, *mode, file.metadata()?.len(), file)?;
                }
                ImageFile::Bytes(bytes) => {
                    entry(&mut tar, path, 0o644, bytes.len() as u64, bytes.as_slice())?;
                }
            }
        }
        Ok(tar.finish()?)
    }
}

/// The pause image, made of one static program.
pub(crate) fn pause(program: &Path) -> Image {
    let mut image = Image::new(PAUSE);
    image.add("pause", ImageFile::Copy(program.to_owned(), 0o755));
    image.entrypoint = vec!["/pause".into()];
    image
}

/// A header without time and owner, so that it depends on nothing but its arguments.
fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn entry(
    to: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    size: u64,
    content: impl Read,
) -> Result<()> {
    Ok(to.append_data(&mut header(mode, size), path, content)?)
}

/// The paths in `ldd`'s output. A static program has none.
fn libraries(output: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in output.lines().map(str::trim) {
        anyhow::ensure!(!line.contains("not found"), "a shared library is missing: {line}");
        let path = line.split_once("=> ").map_or(line, |(_, path)| path);
        let path = path.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// A writer that hashes what it passes on.
struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> HashingWriter<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    fn finish(self) -> (W, String) {
        (self.inner, hex::encode(self.hash.finalize()))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
