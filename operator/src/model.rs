//! Status of a `PersonaModel`: whether sidecars load and serve it.

use crate::conditions::{Verdict, conditions};
use crate::context::Context;
use crate::reconcile::{Done, Failed};
use jiff::Timestamp;
use kube::Api;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{API_VERSION, PersonaModel, PersonaModelStatus, PodCounts, PodState};
use serde_json::json;

pub(crate) async fn reconcile(context: &Context, name: &str) -> Result<Done, Failed> {
    let Some(model) = context.world.models.get("", name) else { return Ok(Done::idle("Deleted")) };
    let status = status(&model, &context.fleet.sidecars_of(name), Timestamp::now());
    let outcome = status.conditions.first().map(|ready| ready.reason.clone()).unwrap_or_default();
    if model.status.as_ref() != Some(&status) {
        let api: Api<PersonaModel> = Api::all(context.cluster.client.clone());
        let patch = json!({
            "apiVersion": API_VERSION, "kind": "PersonaModel", "metadata": { "name": name }, "status": status
        });
        match context.cluster.apply_status(&api, name, &patch).await {
            Ok(written) => context.world.models.absorb(written, Some),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Done { outcome, again: None })
}

/// From what sidecars (namespace, last report) said.
fn status(
    model: &PersonaModel,
    sidecars: &[(String, PodCounts)],
    now: Timestamp,
) -> PersonaModelStatus {
    let serves = |pod: &PodCounts| {
        pod.state == PodState::Ready && pod.model_digest.as_ref() == Some(&model.spec.sha256)
    };
    let serving = sidecars.iter().filter(|(_, pod)| serves(pod)).count();
    let failing: Vec<_> =
        sidecars.iter().filter(|(_, pod)| pod.state == PodState::Failed).collect();
    let verdict = match failing.first() {
        Some((namespace, pod)) => {
            let (reason, said) = match &pod.failure {
                Some(failure) => (failure.reason.as_str(), failure.message.as_str()),
                None => {
                    (reason::REFUSED_BY_SIDECAR, "the sidecar gives no reason: look at its log")
                }
            };
            let message = format!(
                "{} of {} sidecars cannot serve it. {namespace}/{}: {said}",
                failing.len(),
                sidecars.len(),
                pod.name
            );
            Verdict::no(condition::READY, reason, message)
        }
        None if serving > 0 => {
            Verdict::yes(condition::READY, reason::SERVED, format!("{serving} sidecars serve it."))
        }
        None => {
            let message = "No sidecar has reported serving it yet: apply a PersonaPolicy that names it, and create a pod that the policy selects.";
            Verdict::unknown(condition::READY, reason::NOT_SERVED_YET, message)
        }
    };
    let before =
        model.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    PersonaModelStatus {
        observed_generation: model.metadata.generation,
        sidecars: u32::try_from(serving).unwrap_or(u32::MAX),
        conditions: conditions(&[verdict], before, model.metadata.generation, now),
    }
}
