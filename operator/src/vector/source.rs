//! Where the file of a vector comes from. Pure.

use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, ModelSource, PersonaModel, PersonaVector, names};
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
    own_weights(model)?;
    let location = Location {
        namespace: own.to_owned(),
        config_map: names::for_extraction(&vector.name_any()),
        key: names::VECTOR_KEY.to_owned(),
    };
    Ok((location, Expected::Extracted(extraction_digest(vector, model))))
}

/// The weights that our own engine can run, for a Job that needs them.
pub(crate) fn own_weights(model: &PersonaModel) -> Result<&ModelSource, Rejection> {
    model.spec.source.as_ref().ok_or_else(|| {
        let message = format!(
            "PersonaModel `{}` has engine Vllm, so its weights are vLLM's, and no Job of ours has \
             them: make the vector with `personaguard extract --engine`, and import it (artifact \
             and sha256 of the PersonaVector); screen with `personaguard screen --engine`",
            model.name_any()
        );
        Rejection::new(reason::MODEL_RUN_BY_VLLM, message)
    })
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
    Digest::of(inputs.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
