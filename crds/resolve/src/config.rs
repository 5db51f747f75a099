//! The parts of a sidecar's config, as they follow from the kinds.

use crate::vector::{VectorInput, digest_of};
use kube::ResourceExt;
use personaguard_api::{PersonaModel, names};
use personaguard_wire::{Baseline, Part, ResolvedVector, ServedModel};

/// The model, as a sidecar is told to serve it.
pub(super) fn served_model(model: &PersonaModel) -> ServedModel {
    let runtime = &model.spec.runtime;
    ServedModel {
        name: model.name_any(),
        file: format!("{}/{}", names::MODEL_DIR, model.spec.source.path()),
        sha256: model.spec.sha256.clone(),
        context_length: runtime.context_length,
        max_concurrent: runtime.max_concurrent,
        threads: runtime.threads,
        device: runtime.device,
    }
}

/// A part of a vector. It has no baseline, because nothing is scored by it.
pub(super) fn resolved_part(vector: &VectorInput, part: Part, values: &[f32]) -> ResolvedVector {
    ResolvedVector {
        layer: part.layer(),
        sha256: digest_of(values),
        baseline: None,
        ..resolved_vector(vector)
    }
}

/// A vector at its own layer.
pub(super) fn resolved_vector(vector: &VectorInput) -> ResolvedVector {
    ResolvedVector {
        trait_name: vector.trait_name.clone(),
        layer: vector.layer,
        model_digest: vector.model_digest.clone(),
        sha256: digest_of(&vector.values),
        baseline: vector
            .calibration
            .as_ref()
            .filter(|calibration| calibration.standard_deviation > 0.0)
            .map(|calibration| Baseline {
                mean: calibration.mean,
                standard_deviation: calibration.standard_deviation,
            }),
    }
}
