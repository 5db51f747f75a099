//! A config folder as the operator mounts it: `config.yaml` and `vectors.safetensors`, and the same
//! for pods that were made for former weights of the model.

use super::error::ConfigError;
use super::file::{MAX_FILE_BYTES, read};
use super::source::Config;
use personaguard_guard::{Refusal, Vectors};
use personaguard_persona::{layer_digest, read_vector_bundle};
use personaguard_terms::names;
use personaguard_wire::{GuardConfig, ResolvedVector};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `identity` is that of the model that this pod was made for.
pub(super) fn load(folder: &Path, identity: Option<&str>) -> Result<Config, ConfigError> {
    let former = identity
        .map(|identity| (names::former_config(identity), names::former_vectors(identity)))
        .filter(|(config, _)| folder.join(config).exists());
    let (config, vectors) =
        former.unwrap_or_else(|| (names::CONFIG_FILE.to_owned(), names::VECTORS_FILE.to_owned()));
    let path = folder.join(config);
    let bytes = read(&path, MAX_FILE_BYTES)?;
    let guard = GuardConfig::from_yaml(&bytes)
        .map_err(|error| ConfigError::Invalid { path, message: error.to_string() })?;
    let vectors = read_vectors(folder.join(vectors), &guard)?;
    let model_file = Ok(folder.join(&guard.model.file));
    Ok(Config { guard, vectors, model_file })
}

fn read_vectors(path: PathBuf, guard: &GuardConfig) -> Result<Vectors, ConfigError> {
    if guard.vectors.is_empty() {
        return Ok(Vectors::new());
    }
    let bytes = read(&path, MAX_FILE_BYTES)?;
    let layers = read_vector_bundle(&bytes)
        .map_err(|error| ConfigError::Invalid { path, message: error.to_string() })?;
    let vectors = guard.vectors.iter().map(|(name, vector)| {
        let values = layers.get(name).map(Vec::as_slice);
        (name.clone(), check(name, vector, values))
    });
    Ok(vectors.collect())
}

/// The values of a vector, if they are those that the config names.
fn check(
    name: &str,
    vector: &ResolvedVector,
    values: Option<&[f32]>,
) -> Result<Arc<[f32]>, Refusal> {
    let name = || name.to_owned();
    let values = values.ok_or_else(|| Refusal::ValuesMissing { vector: name() })?;
    if layer_digest(values) == vector.sha256.as_str() {
        Ok(values.into())
    } else {
        Err(Refusal::ValuesChanged { vector: name() })
    }
}
