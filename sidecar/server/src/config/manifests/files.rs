//! The manifests of a folder.

use crate::config::error::ConfigError;
use crate::config::file;
use personaguard_api::{GROUP, PersonaModel, PersonaPolicy, PersonaVector};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// Longest file of manifests in bytes.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// The manifests of a folder.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) models: Vec<PersonaModel>,
    pub(super) vectors: Vec<PersonaVector>,
    pub(super) policies: Vec<PersonaPolicy>,
}

/// Reads all YAML files of a folder, in the order of their names.
pub(super) fn read(folder: &Path) -> Result<Manifests, ConfigError> {
    let failed = |source| ConfigError::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    let mut manifests = Manifests::default();
    for path in &files {
        let bytes = file::read(path, MAX_MANIFEST_BYTES)?;
        add(&mut manifests, &bytes)
            .map_err(|message| ConfigError::Invalid { path: path.clone(), message })?;
    }
    Ok(manifests)
}

fn add(manifests: &mut Manifests, yaml: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(yaml).map_err(|error| error.to_string())?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    // Deployments and the like may stand in the same file.
    for document in documents.into_iter().filter(|document| group(document) == Some(GROUP)) {
        match document["kind"].as_str() {
            Some("PersonaModel") => manifests.models.push(parse(document)?),
            Some("PersonaVector") => manifests.vectors.push(parse(document)?),
            Some("PersonaPolicy") => manifests.policies.push(parse(document)?),
            _ => {}
        }
    }
    Ok(())
}

fn group(document: &Value) -> Option<&str> {
    document.get("apiVersion")?.as_str()?.split('/').next()
}

fn parse<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    serde_json::from_value(document).map_err(|error| format!("{kind} {name}: {error}"))
}
