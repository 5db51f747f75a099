//! The vector file of a PersonaVector.

use crate::config::error::ConfigError;
use crate::config::file::{self, MAX_FILE_BYTES};
use personaguard_api::{Calibration, PersonaVector};
use personaguard_persona::{self as persona, VectorFile};
use personaguard_resolve::VectorInput;
use personaguard_terms::{Digest, Layer};
use personaguard_wire::MadeOn;
use std::path::Path;

/// Reads the file of a vector. It is found by the key that the manifest names in
/// `artifact.configMap`; without one, which in a cluster lets a Job extract it, by the vector's
/// name: `evil.safetensors`.
pub(super) fn read(folder: &Path, vector: &PersonaVector) -> Result<VectorInput, ConfigError> {
    let name = vector.metadata.name.as_deref().unwrap_or_default();
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
    let bytes = file::read(&path, MAX_FILE_BYTES)?;
    input(vector, name, &bytes).map_err(|message| ConfigError::Invalid { path, message })
}

fn input(vector: &PersonaVector, name: &str, bytes: &[u8]) -> Result<VectorInput, String> {
    let found = Digest::of(bytes);
    if let Some(named) = vector.spec.sha256.as_ref().filter(|named| **named != found) {
        return Err(format!(
            "PersonaVector {name} names SHA-256 {}…, the file has {}…: correct the manifest, or \
             fetch the file again",
            named.short(),
            found.short()
        ));
    }
    let file = VectorFile::parse(bytes).map_err(|error| error.to_string())?;
    let layer = vector.spec.layer.unwrap_or(Layer(file.best_layer()));
    VectorInput::check(vector, file.trait_name(), file.layers(), layer)
        .map_err(|rejection| rejection.to_string())?;
    let values = file.layer(layer.0).ok_or_else(|| format!("the file has no layer {layer}"))?;
    let calibration = file.calibration(layer.0).map(|calibration| Calibration {
        count: calibration.count,
        mean: calibration.mean,
        standard_deviation: calibration.standard_deviation,
        sorted: calibration.sorted.clone(),
    });
    let (spec, layer_number) = (&vector.spec, layer.0);
    Ok(VectorInput {
        trait_name: spec.trait_name.clone(),
        layer,
        model_digest: file.model_digest().parse().map_err(|error| format!("{error}"))?,
        made_on: made_on(&file),
        values: values.to_vec(),
        layers: file.response_avg().rows().map(<[f32]>::to_vec).collect(),
        calibration,
        not_discriminative: !spec.allow_not_discriminative
            && file.discriminates(layer_number) == Some(false),
        does_not_steer: !spec.allow_not_steering && file.steers_at(layer_number) == Some(false),
    })
}

/// How the weights were served that it was made on, as sidecars are told it.
fn made_on(file: &VectorFile) -> Option<MadeOn> {
    let persona::MadeOn { engine, version, plugin, dtype, quantization, adapter } =
        file.metadata().made_on.clone()?;
    Some(MadeOn { engine, version, plugin, dtype, quantization, adapter })
}
