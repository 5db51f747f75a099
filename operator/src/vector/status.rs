//! The status of a `PersonaVector`. Pure.

use super::artifact::Artifact;
use super::artifact_cache::CheckedArtifact;
use super::source::model_not_found;
use crate::objects::conditions::{NewCondition, conditions};
use jiff::Timestamp;
use kube::ResourceExt;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{
    Calibration, PersonaModel, PersonaVector, PersonaVectorStatus, SteeringStep,
};
use personaguard_resolve::Rejection;
use personaguard_wire::ExtractionProgress;

pub(super) fn status(
    vector: &PersonaVector,
    checked: &CheckedArtifact,
    model: Option<&PersonaModel>,
    progress: Option<ExtractionProgress>,
    now: Timestamp,
) -> PersonaVectorStatus {
    let new = match checked {
        Err(rejection) => vec![not_ready(rejection.clone())],
        Ok(artifact) => vec![ready(vector, artifact, model), steers(artifact)],
    };
    let before =
        vector.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut status = PersonaVectorStatus {
        observed_generation: vector.metadata.generation,
        conditions: conditions(&new, before, vector.metadata.generation, now),
        ..PersonaVectorStatus::default()
    };
    match checked {
        Ok(artifact) => describe(&mut status, artifact),
        Err(rejection) if rejection.reason == reason::EXTRACTING => {
            status.progress = progress.map(|it| format!("{}/{}", it.done, it.total));
        }
        Err(_) => {}
    }
    status
}

fn describe(status: &mut PersonaVectorStatus, artifact: &Artifact) {
    let input = &artifact.input;
    status.digest = Some(artifact.digest.clone());
    status.layer = Some(input.layer);
    status.norm = Some((artifact.norm * 1e6).round() / 1e6);
    status.method = Some(artifact.method.clone());
    status.samples = Some(artifact.samples);
    status.auroc = artifact.auroc.map(|auroc| format!("{auroc:.3}"));
    status.steering = artifact.steering.clone();
    status.model_digest = Some(input.model_digest.clone());
    // Without the order statistics, which nobody reads.
    status.calibration = input
        .calibration
        .as_ref()
        .map(|calibration| Calibration { sorted: Vec::new(), ..calibration.clone() });
}

fn not_ready(rejection: Rejection) -> NewCondition {
    NewCondition::unmet(condition::READY, rejection.reason, rejection.message)
}

/// Whether the vector fits its model, discriminates and steers.
fn ready(
    vector: &PersonaVector,
    artifact: &Artifact,
    model: Option<&PersonaModel>,
) -> NewCondition {
    let Some(model) = model else { return not_ready(model_not_found(&vector.spec.model)) };
    let (input, name) = (&artifact.input, vector.name_any());
    let usable = input
        .belongs_to(&name, model)
        .and_then(|()| input.discriminates(&name))
        .and_then(|()| input.steers(&name));
    if let Err(rejection) = usable {
        return not_ready(rejection);
    }
    let message = format!("Layer {} of `{}` is in use.", input.layer, input.trait_name);
    let reason = if vector.spec.artifact.is_some() { reason::IMPORTED } else { reason::EXTRACTED };
    NewCondition::met(condition::READY, reason, message)
}

/// What the dose response shows, whether or not `spec.allowNotSteering` is set.
fn steers(artifact: &Artifact) -> NewCondition {
    let (layer, steps) = (artifact.input.layer, &artifact.steering);
    let numbers =
        |of: fn(&SteeringStep) -> String| steps.iter().map(of).collect::<Vec<_>>().join(", ");
    let measured = format!(
        "With coefficients {} at layer {layer}, held-out answers score {}; log-likelihood ratios \
         {}.",
        numbers(|step| step.coefficient.to_string()),
        numbers(|step| format!("{:.2}", step.response_avg)),
        numbers(|step| format!("{:.3}", step.likelihood_ratio)),
    );
    match artifact.steers {
        Some(true) => NewCondition::met(condition::STEERS, reason::STEERING_MONOTONIC, measured),
        Some(false) => {
            let message = format!(
                "{measured} They do not rise at every step, so policies cannot steer with this \
                 vector, unless spec.allowNotSteering is set."
            );
            NewCondition::unmet(condition::STEERS, reason::DOES_NOT_STEER, message)
        }
        None => {
            let message = format!("The file has no dose response for layer {layer}.");
            NewCondition::unknown(condition::STEERS, reason::STEERING_NOT_MEASURED, message)
        }
    }
}

#[cfg(test)]
mod tests;
