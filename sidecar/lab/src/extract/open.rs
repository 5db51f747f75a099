//! Weights and vector files, as every command opens them.

use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_model::{Engine, EngineOptions, LoadOptions, Model};
use personaguard_persona::{TraitSpec, VectorFile};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Requests that the engine runs at the same time.
pub(super) const BATCH: usize = 32;
/// Tokens of KV cache for each of them. The memory fills with prompts that may come again, however
/// short the requests are, so that it must fit the pod of an extraction; a batch of longer requests
/// is smaller.
const KV_TOKENS: usize = 384;

/// Options about the machine.
#[derive(Args, Clone, Copy, Debug)]
pub struct Machine {
    /// Threads that compute. Default: what the process may use.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Longest conversation in tokens. Longer ones are refused.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    context_length: usize,
}

/// Loads the weights and starts the engine, with as many places as the passes keep requests in
/// flight.
///
/// # Errors
/// If the weights cannot be loaded.
pub fn start_engine(path: &Path, machine: Machine) -> anyhow::Result<Engine> {
    start_adapted(path, None, machine)
}

/// As [`start_engine`], with a LoRA adapter added to the weights, if one is given.
///
/// # Errors
/// If the weights cannot be loaded, or the adapter cannot be added to them.
pub fn start_adapted(
    path: &Path,
    adapter: Option<&Path>,
    machine: Machine,
) -> anyhow::Result<Engine> {
    eprintln!("Loading {} …", adapter.unwrap_or(path).display());
    let options = LoadOptions {
        adapter: adapter.map(Path::to_path_buf),
        context_length: Some(machine.context_length),
        threads: machine.threads,
        ..LoadOptions::default()
    };
    let model = Arc::new(Model::load(path, &options)?);
    let kv_bytes = Some(model.kv_bytes((BATCH * KV_TOKENS).max(machine.context_length)));
    Ok(Engine::start(
        model,
        EngineOptions { max_concurrent: BATCH, max_waiting: 16 * BATCH, kv_bytes },
    )?)
}

/// A vector file with where it was read from.
#[derive(Clone, Debug)]
pub struct OpenVector {
    /// Path.
    pub path: PathBuf,
    /// Vectors.
    pub file: VectorFile,
}

impl OpenVector {
    /// The vector at the layer to use.
    ///
    /// # Errors
    /// If the file lacks it, which one that was checked does not.
    pub fn best(&self) -> anyhow::Result<&[f32]> {
        self.file
            .layer(self.file.best_layer())
            .with_context(|| format!("{} lacks its best layer", self.path.display()))
    }
}

/// Reads vector files.
///
/// # Errors
/// If one cannot be read, or two are of the same trait.
pub fn read_vectors(paths: &[PathBuf]) -> anyhow::Result<Vec<OpenVector>> {
    let mut vectors: Vec<OpenVector> = Vec::new();
    for path in paths {
        let bytes = read_file(path)?;
        let file = VectorFile::parse(&bytes).with_context(|| path.display().to_string())?;
        if let Some(other) =
            vectors.iter().find(|other| other.file.trait_name() == file.trait_name())
        {
            bail!(
                "{} and {} are both of trait {}",
                other.path.display(),
                path.display(),
                file.trait_name()
            );
        }
        vectors.push(OpenVector { path: path.clone(), file });
    }
    Ok(vectors)
}

/// What the vectors' traits are, in their order: from trait files, else what is built in.
///
/// # Errors
/// If a file is no trait's, or a trait is neither in one nor built in.
pub fn specs_of(vectors: &[OpenVector], files: &[PathBuf]) -> anyhow::Result<Vec<TraitSpec>> {
    let read = |path: &PathBuf| {
        TraitSpec::parse(&read_text(path)?).with_context(|| path.display().to_string())
    };
    let own = files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let of =
        |vector: &OpenVector| match own.iter().find(|spec| spec.name == vector.file.trait_name()) {
            Some(spec) => Ok(spec.clone()),
            None => {
                TraitSpec::builtin(vector.file.trait_name()).context("give its file: --trait-files")
            }
        };
    vectors.iter().map(of).collect()
}

/// Reads a text of bounded size.
///
/// # Errors
/// If it cannot be read, is too large or is not UTF-8.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read_file(path)?).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Reads a file of bounded size.
///
/// # Errors
/// If it cannot be read or is too large.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let most = personaguard_persona::vector_file::limits::MAX_FILE_BYTES as u64;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > most {
        bail!("{} has more than {most} bytes", path.display());
    }
    Ok(bytes)
}

/// Refuses vectors of another model.
///
/// # Errors
/// If a vector's model digest is not the model's.
pub fn check_model(vectors: &[OpenVector], model: &Model) -> anyhow::Result<()> {
    for vector in vectors {
        if vector.file.model_digest() != model.digest() {
            bail!(
                "{} was made from {} (SHA-256 {}…), not from these weights ({}…): extract it again from them",
                vector.path.display(),
                vector.file.metadata().model.name,
                &vector.file.model_digest()[..12],
                &model.digest()[..12],
            );
        }
    }
    Ok(())
}

/// Writes beside the file and renames: a reader never sees half of it.
///
/// # Errors
/// If it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
