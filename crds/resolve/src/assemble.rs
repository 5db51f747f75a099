//! The config of a model, from policies that were resolved.

use crate::vector::{VectorInput, digest_of};
use kube::ResourceExt;
use personaguard_api::{API_VERSION, ModelEngine, ModelSource, PersonaModel, Runtime, names};
use personaguard_wire::{
    Baseline, GuardConfig, Part, ResolvedPolicy, ResolvedVector, ServedModel, parts,
};
use std::collections::{BTreeMap, BTreeSet};

/// The config of a model and its accepted policies, and the values of the vectors in it.
#[must_use]
pub fn assemble(
    model: &PersonaModel,
    inputs: &BTreeMap<String, VectorInput>,
    mut accepted: Vec<ResolvedPolicy>,
) -> (GuardConfig, BTreeMap<String, Vec<f32>>) {
    accepted.sort_by(|a, b| a.name.cmp(&b.name));
    let rules = || accepted.iter().flat_map(|policy| &policy.traits);
    let used: BTreeSet<_> = rules().map(|rule| &rule.vector).collect();
    let own: Vec<_> =
        used.into_iter().filter_map(|name| Some((name.clone(), inputs.get(name)?))).collect();
    let mut values: BTreeMap<_, _> =
        own.iter().map(|(name, vector)| (name.clone(), vector.values.clone())).collect();
    let mut vectors: BTreeMap<_, _> =
        own.into_iter().map(|(name, vector)| (name, resolved_vector(vector))).collect();
    for rule in rules() {
        let Some(vector) = inputs.get(&rule.vector) else { continue };
        for part in parts(&rule.action) {
            let (name, Some(part_values)) = (part.name(&rule.vector), part.values(&vector.layers))
            else {
                continue;
            };
            vectors.insert(name.clone(), resolved_part(vector, part, &part_values));
            values.insert(name, part_values);
        }
    }
    let config = GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: served_model(model),
        vectors,
        policies: accepted,
        unresolved: Vec::new(),
    };
    (config, values)
}

/// The model as sidecars are told it. Of one that vLLM runs, nothing is said that our own engine
/// alone would read.
#[must_use]
pub fn served_model(model: &PersonaModel) -> ServedModel {
    let runtime = match model.spec.engine {
        ModelEngine::Own => model.spec.runtime.clone(),
        ModelEngine::Vllm => Runtime {
            max_request_bytes: model.spec.runtime.max_request_bytes,
            scoring_deadline_seconds: model.spec.runtime.scoring_deadline_seconds,
            ..Runtime::default()
        },
    };
    let file = |source: &ModelSource| format!("{}/{}", names::MODEL_DIR, source.path());
    ServedModel {
        name: model.name_any(),
        aliases: model.spec.aliases.clone(),
        file: model.spec.source.as_ref().map(file).unwrap_or_default(),
        sha256: model.spec.sha256.clone(),
        context_length: runtime.context_length,
        max_concurrent: runtime.max_concurrent,
        max_request_bytes: Some(runtime.max_request_bytes),
        scoring_deadline_seconds: Some(runtime.scoring_deadline_seconds),
        threads: runtime.threads,
        device: runtime.device,
    }
}

/// A part of a vector. It has no baseline, because nothing is scored by it.
pub(crate) fn resolved_part(vector: &VectorInput, part: Part, values: &[f32]) -> ResolvedVector {
    ResolvedVector {
        layer: part.layer(),
        sha256: digest_of(values),
        baseline: None,
        ..resolved_vector(vector)
    }
}

pub(crate) fn resolved_vector(vector: &VectorInput) -> ResolvedVector {
    ResolvedVector {
        trait_name: vector.trait_name.clone(),
        layer: vector.layer,
        model_digest: vector.model_digest.clone(),
        made_on: vector.made_on.clone(),
        sha256: digest_of(&vector.values),
        baseline: vector
            .calibration
            .as_ref()
            .map(|calibration| Baseline {
                mean: calibration.mean,
                standard_deviation: calibration.standard_deviation,
            })
            .filter(Baseline::is_valid),
    }
}
