//! A `PersonaVector`: its file is the one named, or a Job extracts it; it fits the model, has the
//! layer, and says something.

pub(crate) mod delivery;
pub(crate) mod extraction;
mod job;

use crate::artefact::{Artefact, no_model};
use crate::conditions::{Verdict, conditions};
use crate::context::{Context, Key};
use crate::reconcile::{Done, Failed};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{
    API_VERSION, Calibration, PersonaModel, PersonaVector, PersonaVectorStatus, SteeringStep,
};
use personaguard_resolve::Rejection;
use personaguard_wire::ExtractionProgress;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Between looks at a file that is not there or not right.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Done, Failed> {
    let Some(vector) = context.world.vectors.get("", name) else {
        context.artefacts.forget(name);
        context.extractions.forget(name);
        return Ok(Done::idle("Deleted"));
    };
    let model = context.world.models.get("", &vector.spec.model);
    let mut checked = context.artefacts.of(&vector, model.as_deref()).await?;
    if let (Err(rejection), Some(model)) = (&checked, &model)
        && rejection.reason == reason::EXTRACTING
    {
        checked = Err(extraction::advance(context, &vector, model).await?);
    }
    let progress = context.extractions.progress(name);
    let status = status(&vector, checked, model.as_deref(), progress, Timestamp::now());
    let ready = status.conditions.first();
    let outcome = ready.map(|ready| ready.reason.clone()).unwrap_or_default();
    // A file that turns up later is no event that a watch would tell.
    let again = ready.is_some_and(|ready| ready.status == "False").then_some(LOOK_AGAIN);
    if vector.status.as_ref() != Some(&status) {
        let api: Api<PersonaVector> = Api::all(context.cluster.client.clone());
        let patch = json!({
            "apiVersion": API_VERSION, "kind": "PersonaVector", "metadata": { "name": name }, "status": status
        });
        match context.cluster.apply_status(&api, name, &patch).await {
            Ok(written) => context.world.vectors.absorb(written, Some),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        context.push_scopes_of_model(&vector.spec.model);
    }
    Ok(Done { outcome, again })
}

fn status(
    vector: &PersonaVector,
    checked: Result<Arc<Artefact>, Rejection>,
    model: Option<&PersonaModel>,
    progress: Option<ExtractionProgress>,
    now: Timestamp,
) -> PersonaVectorStatus {
    let verdicts = match &checked {
        Err(rejection) => {
            vec![Verdict::no(condition::READY, rejection.reason, rejection.message.clone())]
        }
        Ok(artefact) => vec![fits(vector, artefact, model), steers(artefact)],
    };
    let before =
        vector.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut status = PersonaVectorStatus {
        observed_generation: vector.metadata.generation,
        conditions: conditions(&verdicts, before, vector.metadata.generation, now),
        ..PersonaVectorStatus::default()
    };
    let extracting =
        checked.as_ref().is_err_and(|rejection| rejection.reason == reason::EXTRACTING);
    if let Some(progress) = progress.filter(|_| extracting) {
        status.progress = Some(format!("{}/{}", progress.done, progress.total));
    }
    if let Ok(artefact) = checked {
        status.digest = Some(artefact.digest.clone());
        status.layer = Some(artefact.input.layer);
        status.norm = Some((artefact.norm * 1e6).round() / 1e6);
        status.method = Some(artefact.method.clone());
        status.samples = Some(artefact.samples);
        status.auroc = artefact.auroc.map(|auroc| format!("{auroc:.3}"));
        status.steering = artefact.steering.clone();
        status.model_digest = Some(artefact.input.model_digest.clone());
        // The order statistics stay in the file: they are for computing, not for reading.
        status.calibration = artefact
            .input
            .calibration
            .as_ref()
            .map(|calibration| Calibration { sorted: Vec::new(), ..calibration.clone() });
    }
    status
}

fn fits(vector: &PersonaVector, artefact: &Artefact, model: Option<&PersonaModel>) -> Verdict {
    let Some(model) = model else {
        let rejection = no_model(&vector.spec.model);
        return Verdict::no(condition::READY, rejection.reason, rejection.message);
    };
    let (input, name) = (&artefact.input, vector.name_any());
    let right = input.belongs_to(&name, model);
    if let Err(rejection) =
        right.and_then(|()| input.discriminates(&name)).and_then(|()| input.steers(&name))
    {
        return Verdict::no(condition::READY, rejection.reason, rejection.message);
    }
    let message =
        format!("Layer {} of `{}` is in use.", artefact.input.layer, artefact.input.trait_name);
    let reason = if vector.spec.artifact.is_some() { reason::IMPORTED } else { reason::EXTRACTED };
    Verdict::yes(condition::READY, reason, message)
}

/// What the ladder says, whether or not the vector is allowed to say otherwise.
fn steers(artefact: &Artefact) -> Verdict {
    let (layer, steps) = (artefact.input.layer, &artefact.steering);
    let numbers =
        |of: fn(&SteeringStep) -> String| steps.iter().map(of).collect::<Vec<_>>().join(", ");
    let found = format!(
        "With coefficients {} at layer {layer}, held-out answers score {}; log-likelihood ratios {}.",
        numbers(|step| step.coefficient.to_string()),
        numbers(|step| format!("{:.2}", step.response_avg)),
        numbers(|step| format!("{:.3}", step.likelihood_ratio)),
    );
    match artefact.steers {
        Some(true) => Verdict::yes(condition::STEERS, reason::STEERING_MONOTONIC, found),
        Some(false) => {
            let message = format!(
                "{found} Not every step rises, so policies that steer refuse it, unless spec.allowNotSteering is set."
            );
            Verdict::no(condition::STEERS, reason::DOES_NOT_STEER, message)
        }
        None => {
            let message = format!("The file does not say what steering at layer {layer} does.");
            Verdict::unknown(condition::STEERS, reason::STEERING_NOT_MEASURED, message)
        }
    }
}

/// Vectors to look at when a model changed.
pub(crate) fn push_vectors_of_model(context: &Context, model: &str) {
    for vector in context.world.vectors.all().iter().filter(|vector| vector.spec.model == model) {
        context.queue.push(Key::Vector(vector.name_any()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures;

    fn of(steers: Option<bool>, allowed: bool) -> PersonaVectorStatus {
        let spec = json!({ "trait": "evil", "model": "smollm2", "allowNotSteering": allowed });
        let vector = PersonaVector::new("evil", serde_json::from_value(spec).unwrap());
        let mut artefact = Artefact::clone(&fixtures::artefact(b"weights", 8));
        let step = |coefficient: f64| SteeringStep {
            coefficient,
            response_avg: 3.0 * coefficient,
            ..Default::default()
        };
        artefact.steering =
            steers.map(|_| vec![step(-1.0), step(0.0), step(1.0)]).unwrap_or_default();
        artefact.steers = steers;
        artefact.input.does_not_steer = !allowed && steers == Some(false);
        status(
            &vector,
            Ok(Arc::new(artefact)),
            Some(&fixtures::model()),
            None,
            Timestamp::UNIX_EPOCH,
        )
    }

    fn said(status: &PersonaVectorStatus) -> Vec<(&str, &str, &str)> {
        status
            .conditions
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
            .collect()
    }

    #[test]
    fn a_vector_is_ready_only_if_it_steers_as_far_as_that_was_measured() {
        let rises = of(Some(true), false);
        assert_eq!(
            said(&rises),
            [("Ready", "True", "Extracted"), ("Steers", "True", "SteeringMonotonic")]
        );
        assert_eq!(rises.steering.len(), 3);
        assert!(
            rises.conditions[1].message.contains("score -3.00, 0.00, 3.00"),
            "{}",
            rises.conditions[1].message
        );
        let falls = of(Some(false), false);
        assert_eq!(
            said(&falls),
            [("Ready", "False", "DoesNotSteer"), ("Steers", "False", "DoesNotSteer")]
        );
        assert!(
            falls.conditions[0].message.contains("allowNotSteering"),
            "{}",
            falls.conditions[0].message
        );
        let unknown = of(None, false);
        assert_eq!(
            said(&unknown),
            [("Ready", "True", "Extracted"), ("Steers", "Unknown", "SteeringNotMeasured")]
        );
        assert!(unknown.steering.is_empty());
    }

    #[test]
    fn what_is_allowed_to_steer_is_ready_and_its_ladder_is_still_told() {
        let allowed = of(Some(false), true);
        assert_eq!(
            said(&allowed),
            [("Ready", "True", "Extracted"), ("Steers", "False", "DoesNotSteer")]
        );
        assert_eq!(allowed.steering.len(), 3);
    }
}
