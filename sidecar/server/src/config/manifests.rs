//! A config folder of plain manifests: the files that `kubectl apply` takes, with the vector files
//! beside them.
//!
//! The file of a PersonaVector is found by the key that its manifest names in `artifact.configMap`;
//! without one, which in a cluster lets a Job extract it, by the vector's name: `evil.safetensors`.

use super::{Config, ConfigError, folder};
use personaguard_api::{Calibration, GROUP, PersonaModel, PersonaPolicy, PersonaVector};
use personaguard_guard::Vectors;
use personaguard_persona::VectorFile;
use personaguard_resolve::{VectorInput, resolve};
use personaguard_terms::{Digest, Layer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest manifest in bytes.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Manifests of a folder.
#[derive(Default)]
struct Manifests {
    models: Vec<PersonaModel>,
    vectors: Vec<PersonaVector>,
    policies: Vec<PersonaPolicy>,
}

/// Reads a folder of manifests. One PersonaModel, and the vectors and policies that name it.
pub(super) fn load(folder: &Path, model_file: Option<&Path>) -> Result<Config, ConfigError> {
    let Manifests { models, vectors, policies } = read(folder)?;
    let [model] = models.as_slice() else {
        return Err(ConfigError::Rejected(format!(
            "{} holds {} PersonaModels, and one is served: put the manifests of one model there, or a config.yaml",
            folder.display(),
            models.len()
        )));
    };
    let name = name_of(&model.metadata.name);
    let mut inputs = BTreeMap::new();
    for vector in vectors.iter().filter(|vector| vector.spec.model == name) {
        inputs.insert(name_of(&vector.metadata.name), input(folder, vector)?);
    }
    let mut policies: Vec<_> =
        policies.into_iter().filter(|policy| policy.spec.model == name).collect();
    policies.iter_mut().for_each(|policy| {
        policy.metadata.generation.get_or_insert(1);
    });
    let resolution = resolve(model, &inputs, &policies);
    // All policies or none: nobody should believe in a policy that is not there.
    if let Some((policy, rejection)) = resolution.rejected.first_key_value() {
        let message =
            format!("PersonaPolicy {policy}: {} ({})", rejection.message, rejection.reason);
        return Err(ConfigError::Rejected(message));
    }
    let vectors: Vectors =
        resolution.values.into_iter().map(|(name, values)| (name, Ok(Arc::from(values)))).collect();
    Ok(Config {
        model_file: weights(folder, model, model_file)?,
        guard: resolution.config,
        vectors,
    })
}

/// The weight file: the one given, or else the one in the folder that has the file name of the
/// model's source.
fn weights(
    folder: &Path,
    model: &PersonaModel,
    given: Option<&Path>,
) -> Result<PathBuf, ConfigError> {
    if let Some(file) = given {
        return Ok(file.to_owned());
    }
    let beside = Path::new(model.spec.source.path()).file_name().map(|name| folder.join(name));
    beside.filter(|file| file.exists()).ok_or_else(|| {
        ConfigError::Rejected(
            "the manifests do not say where the weights are on this computer: give --model FILE"
                .to_owned(),
        )
    })
}

fn read(folder: &Path) -> Result<Manifests, ConfigError> {
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
        add(&mut manifests, path)?;
    }
    Ok(manifests)
}

fn add(manifests: &mut Manifests, path: &Path) -> Result<(), ConfigError> {
    let invalid = |message: String| ConfigError::Invalid { path: path.to_owned(), message };
    let bytes = folder::read(path, MAX_MANIFEST_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| invalid(error.to_string()))?;
    for document in documents {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let group = document
            .get("apiVersion")
            .and_then(Value::as_str)
            .and_then(|version| version.split('/').next());
        if group != Some(GROUP) {
            // Deployments and the like may stand in the same file.
            continue;
        }
        match kind.as_str() {
            "PersonaModel" => manifests.models.push(parse(document).map_err(invalid)?),
            "PersonaVector" => manifests.vectors.push(parse(document).map_err(invalid)?),
            "PersonaPolicy" => manifests.policies.push(parse(document).map_err(invalid)?),
            _ => {}
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    serde_json::from_value(document).map_err(|error| format!("{kind} {name}: {error}"))
}

fn name_of(name: &Option<String>) -> String {
    name.clone().unwrap_or_default()
}

fn input(folder: &Path, vector: &PersonaVector) -> Result<VectorInput, ConfigError> {
    let name = name_of(&vector.metadata.name);
    let key = match &vector.spec.artifact {
        Some(artifact) => artifact.config_map.key.clone(),
        None => format!("{name}.safetensors"),
    };
    // A key is a file name; anything else would lead out of the folder.
    if Path::new(&key).file_name().is_none_or(|file| file != key.as_str()) {
        return Err(ConfigError::Rejected(format!(
            "PersonaVector {name}: key {key:?} is not a file name"
        )));
    }
    let path = folder.join(&key);
    let bytes = folder::read(&path, folder::MAX_FILE_BYTES)?;
    let invalid = |message: String| ConfigError::Invalid { path: path.clone(), message };
    let found = Digest::of(&bytes);
    if let Some(named) = vector.spec.sha256.as_ref().filter(|named| **named != found) {
        let message = format!(
            "PersonaVector {name} names SHA-256 {}…, the file has {}…: correct the manifest, or fetch the file again",
            named.short(),
            found.short()
        );
        return Err(invalid(message));
    }
    let file = VectorFile::parse(&bytes).map_err(|error| invalid(error.to_string()))?;
    let layer = vector.spec.layer.unwrap_or(Layer(file.best_layer()));
    VectorInput::check(vector, file.trait_name(), file.layers(), layer)
        .map_err(|rejection| invalid(rejection.to_string()))?;
    let values = file
        .layer(layer.0)
        .ok_or_else(|| invalid(format!("the file has no layer {layer}")))?
        .to_vec();
    let layers = file.response_avg().rows().map(<[f32]>::to_vec).collect();
    let model_digest = file.model_digest().parse().map_err(|error| invalid(format!("{error}")))?;
    let calibration = file.calibration(layer.0).map(|calibration| Calibration {
        count: calibration.count,
        mean: calibration.mean,
        standard_deviation: calibration.standard_deviation,
        sorted: calibration.sorted.clone(),
    });
    let not_discriminative =
        !vector.spec.allow_not_discriminative && file.discriminates(layer.0) == Some(false);
    let does_not_steer = !vector.spec.allow_not_steering && file.steers_at(layer.0) == Some(false);
    let trait_name = vector.spec.trait_name.clone();
    Ok(VectorInput {
        trait_name,
        layer,
        model_digest,
        values,
        layers,
        calibration,
        not_discriminative,
        does_not_steer,
    })
}
