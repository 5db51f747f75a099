//! The status of a `PersonaModel`: whether sidecars load and serve it.

use crate::context::Context;
use crate::fleet::{Fleet, loaded};
use crate::objects::conditions::{NewCondition, conditions};
use crate::outcome::{Done, ReconcileError};
use jiff::Timestamp;
use kube::Api;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{PersonaModel, PersonaModelStatus, PodCounts, PodState};

pub(crate) async fn reconcile(
    context: &Context,
    fleet: &Fleet,
    name: &str,
) -> Result<Done, ReconcileError> {
    let Some(model) = context.stores.models.get("", name) else {
        return Ok(Done::until_change("Deleted"));
    };
    if context.stores.models.unreadable("", name).is_some() {
        return Ok(Done::until_change(reason::UNREADABLE));
    }
    let status = status(&model, &fleet.sidecars_of(name), Timestamp::now());
    if model.status.as_ref() != Some(&status) {
        let api: Api<PersonaModel> = context.cluster.all();
        context.write_status(&api, &context.stores.models, name, &status).await?;
    }
    let ready = status.conditions.into_iter().next();
    Ok(Done::until_change(ready.map(|ready| ready.reason).unwrap_or_default()))
}

/// `sidecars` are the last reports of the model's sidecars, with their namespaces.
fn status(
    model: &PersonaModel,
    sidecars: &[(String, PodCounts)],
    now: Timestamp,
) -> PersonaModelStatus {
    let serves = |pod: &PodCounts| {
        pod.state == PodState::Ready && pod.model_digest.as_ref() == Some(&model.spec.sha256)
    };
    let serving = sidecars.iter().filter(|(_, pod)| serves(pod)).count();
    let before =
        model.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = ready(sidecars, serving);
    PersonaModelStatus {
        observed_generation: model.metadata.generation,
        loaded: loaded(sidecars.iter().map(|(_, pod)| pod)),
        sidecars: u32::try_from(serving).unwrap_or(u32::MAX),
        conditions: conditions(&[ready], before, model.metadata.generation, now),
    }
}

/// By counts: no single sidecar decides for a whole cluster, unless it is the only one.
fn ready(sidecars: &[(String, PodCounts)], serving: usize) -> NewCondition {
    let failing = sidecars.iter().filter(|(_, pod)| pod.state == PodState::Failed);
    let fails = failing.clone().count();
    if let Some((namespace, pod)) = failing.clone().next().filter(|_| fails > serving) {
        let (reason, why) = match &pod.failure {
            Some(failure) => (failure.reason.as_str(), failure.message.as_str()),
            None => (reason::REFUSED_BY_SIDECAR, "the sidecar gives no reason: check its log"),
        };
        let message = format!(
            "{} of {} sidecars cannot serve it. {namespace}/{}: {why}",
            fails,
            sidecars.len(),
            pod.name
        );
        return NewCondition::unmet(condition::READY, reason, message);
    }
    if serving > 0 {
        let first = failing.clone().next();
        let others = first.map(|(namespace, pod)| {
            format!(" {fails} cannot, among them {namespace}/{}: see its policies.", pod.name)
        });
        let message = format!("{serving} sidecars serve it.{}", others.unwrap_or_default());
        return NewCondition::met(condition::READY, reason::SERVED, message);
    }
    let loading = sidecars.iter().filter(|(_, pod)| pod.state == PodState::Loading);
    let mut told =
        loading.filter_map(|(namespace, pod)| Some((namespace, pod, pod.failure.as_ref()?)));
    if let Some((namespace, pod, failure)) = told.next() {
        let message = format!("{namespace}/{} is {}", pod.name, failure.message);
        return NewCondition::unknown(condition::READY, failure.reason.as_str(), message);
    }
    let message = "No sidecar has reported serving it yet: apply a PersonaPolicy that names it, \
                   and create a pod that the policy selects.";
    NewCondition::unknown(condition::READY, reason::NOT_SERVED_YET, message)
}

#[cfg(test)]
mod tests;
