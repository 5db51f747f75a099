//! Where the file of a vector comes from. Pure.

use crate::objects::job_engine::JobEngine;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_resolve::Rejection;
use serde_json::json;

/// A file in a ConfigMap.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) namespace: String,
    pub(super) config_map: String,
    pub(super) key: String,
}

/// What the file must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    /// The file with this SHA-256, as the user gives it.
    Imported(Digest),
    /// The result of the extraction with this digest.
    Extracted(Digest),
}

/// Where the file of a vector is, or will be. `own` is the operator's namespace.
pub(super) fn source(
    vector: &PersonaVector,
    model: Option<&PersonaModel>,
    own: &str,
) -> Result<(Location, Expected), Rejection> {
    let spec = &vector.spec;
    if let (Some(artifact), Some(sha256)) = (&spec.artifact, &spec.sha256) {
        let map = &artifact.config_map;
        let location = Location {
            namespace: map.namespace.clone().unwrap_or_else(|| own.to_owned()),
            config_map: map.name.clone(),
            key: map.key.clone(),
        };
        return Ok((location, Expected::Imported(sha256.clone())));
    }
    let model = model.ok_or_else(|| model_not_found(&spec.model))?;
    JobEngine::of(model)?;
    let location = Location {
        namespace: own.to_owned(),
        config_map: names::for_extraction(&vector.name_any()),
        key: names::VECTOR_KEY.to_owned(),
    };
    Ok((location, Expected::Extracted(extraction_digest(vector, model))))
}

pub(crate) fn model_not_found(name: &str) -> Rejection {
    let message = format!(
        "PersonaModel `{name}` does not exist: create it, or correct spec.model (kubectl get \
         personamodels)"
    );
    Rejection::new(reason::MODEL_NOT_FOUND, message)
}

/// Digest of everything that an extracted vector depends on.
pub(crate) fn extraction_digest(vector: &PersonaVector, model: &PersonaModel) -> Digest {
    let settings = vector.spec.extraction.clone().unwrap_or_default();
    let inputs = json!([
        vector.spec.trait_name,
        vector.spec.description,
        settings.tokens,
        settings.questions,
        settings.rollouts,
        settings.seed,
        model.spec.sha256
    ]);
    let inputs = match &settings.endpoint {
        Some(endpoint) => json!([inputs, endpoint.url, endpoint.model]),
        None => inputs,
    };
    // What the digest of its files does not say of how a model is served.
    let inputs = match &model.spec.vllm {
        Some(vllm) => json!([inputs, vllm.image, vllm.command, vllm.args, vllm.model]),
        None => inputs,
    };
    Digest::of(inputs.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
