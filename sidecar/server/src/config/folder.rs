//! Reading a config folder as one consistent state, and noticing changes.

use super::{Config, ConfigError, Source, labels, manifests};
use personaguard_guard::Vectors;
use personaguard_persona::{layer_digest, read_vector_bundle};
use personaguard_terms::conditions::reason;
use personaguard_terms::{Digest, names};
use personaguard_wire::{Failure, GuardConfig};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Largest file of a config folder: a ConfigMap holds 1 MiB, manifests kept by hand may bring whole
/// vector files.
pub(super) const MAX_FILE_BYTES: u64 = 512 << 20;
/// How often a folder that changes under the reader's hands is read anew.
const ATTEMPTS: usize = 5;

/// What a folder looks like from outside: it differs whenever the content does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// The folder's fingerprint, and that of the pod's labels. A folder that is not there has one too.
#[must_use]
pub fn fingerprint(source: &Source) -> Fingerprint {
    let folder = resolved(&source.folder);
    let mut files: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| stamp(entry.path())).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    // The name of kubelet's folder changes with its content.
    files.push(stamp(folder));
    if let Some(labels) = &source.labels {
        files.push(stamp(std::fs::canonicalize(labels).unwrap_or_else(|_| labels.clone())));
    }
    Fingerprint(files)
}

fn stamp(path: PathBuf) -> (PathBuf, u64, Option<SystemTime>) {
    let metadata = std::fs::metadata(&path).ok();
    let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
    (path, length, metadata.and_then(|m| m.modified().ok()))
}

/// Kubelet swaps a mounted ConfigMap by one symbolic link, `..data`: all files are read from the
/// folder that it points to at one moment.
fn resolved(folder: &Path) -> PathBuf {
    std::fs::canonicalize(folder.join("..data")).unwrap_or_else(|_| folder.to_owned())
}

/// Reads and checks the folder; files that change meanwhile are read anew.
///
/// # Errors
/// See [`ConfigError`]. A vector that cannot be used is no error: it is refused by itself, see
/// [`Config::vectors`].
pub fn load(source: &Source) -> Result<Config, ConfigError> {
    for _ in 0..ATTEMPTS {
        let before = fingerprint(source);
        let result = load_once(source);
        if fingerprint(source) == before {
            return result;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(ConfigError::Unsteady)
}

fn load_once(source: &Source) -> Result<Config, ConfigError> {
    let folder = resolved(&source.folder);
    let mut config = if folder.join(names::CONFIG_FILE).exists() {
        from_operator(&folder)?
    } else {
        manifests::load(&folder, source.model_file.as_deref())?
    };
    if let Some(labels) = &source.labels {
        let labels = labels::read(labels)?;
        config.guard.policies.retain(|policy| policy.selects(&labels));
        config.guard.unresolved.retain(|policy| policy.selects(&labels));
    }
    if let Some(file) = &source.model_file {
        config.model_file.clone_from(file);
    }
    Ok(config)
}

fn from_operator(folder: &Path) -> Result<Config, ConfigError> {
    let path = folder.join(names::CONFIG_FILE);
    let invalid = |message| ConfigError::Invalid { path: path.clone(), message };
    let bytes = read(&path, MAX_FILE_BYTES)?;
    let guard = GuardConfig::from_yaml(&bytes).map_err(|error| invalid(error.to_string()))?;
    let vectors = read_vectors(folder, &guard)?;
    let model_file = folder.join(&guard.model.file);
    Ok(Config { guard, vectors, model_file })
}

fn read_vectors(folder: &Path, guard: &GuardConfig) -> Result<Vectors, ConfigError> {
    if guard.vectors.is_empty() {
        return Ok(Vectors::new());
    }
    let path = folder.join(names::VECTORS_FILE);
    let bytes = read(&path, MAX_FILE_BYTES)?;
    let layers = read_vector_bundle(&bytes)
        .map_err(|error| ConfigError::Invalid { path: path.clone(), message: error.to_string() })?;
    let check = |(name, expected): (&String, &Digest)| {
        let vector = match layers.get(name) {
            None => Err(refused(
                reason::ARTIFACT_NOT_FOUND,
                format!("the config folder lacks vector `{name}`"),
            )),
            Some(values) if layer_digest(values) != expected.as_str() => {
                let message =
                    format!("the values of vector `{name}` are not those that the config names");
                Err(refused(reason::DIGEST_MISMATCH, message))
            }
            Some(values) => Ok(values.as_slice().into()),
        };
        (name.clone(), vector)
    };
    Ok(guard.vectors.iter().map(|(name, vector)| check((name, &vector.sha256))).collect())
}

fn refused(reason: &str, message: String) -> Failure {
    Failure { reason: reason.to_owned(), message }
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
