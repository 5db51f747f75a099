//! Which of the selected pods enforce a policy, and why the others do not. Pure.

use super::not_started;
use crate::objects::PodView;
use crate::objects::conditions::NewCondition;
use crate::policy::acknowledgement::acknowledges;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{PersonaPolicy, PodCounts, PodState, names};
use personaguard_resolve::Rejection;
use personaguard_wire::ResolvedPolicy;

/// Of a sidecar that reports something else.
const BEHIND: &str = "its sidecar enforces another generation or another content, which changes \
                      within 2 minutes, unless somebody else writes its ConfigMap";

/// A pod that the policy selects.
pub(super) struct SelectedPod<'a> {
    pub(super) pod: &'a PodView,
    pub(super) report: Option<&'a PodCounts>,
    pub(super) state: GuardState,
    /// The generation that it has acknowledged to enforce, whether or not it is the newest.
    pub(super) enforces: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardState {
    /// It enforces every trait of this generation.
    Guarded,
    /// Its sidecar has not acknowledged this generation, or not yet.
    Unacknowledged,
    /// It was made for former weights of the model, and enforces an earlier generation.
    FormerWeights,
    NoSidecar,
    /// It has the sidecar of another model.
    OtherModel,
    /// The sidecar and the app want one port.
    PortConflict,
}

/// `resolved` is the policy as the pod's sidecar is to enforce it, maybe in an earlier generation.
/// `generation` is the one to enforce, unless it is not accepted.
pub(super) fn classify<'a>(
    pod: &'a PodView,
    report: Option<&'a PodCounts>,
    model: &str,
    resolved: Option<&ResolvedPolicy>,
    generation: Option<i64>,
) -> SelectedPod<'a> {
    let enforced = resolved
        .and_then(|resolved| Some((report?, resolved)))
        .filter(|(report, resolved)| enforces(report, resolved));
    let enforces = enforced.map(|(_, resolved)| resolved.generation);
    let state = match pod.sidecar.as_deref() {
        None => GuardState::NoSidecar,
        Some(sidecar) if sidecar != model => GuardState::OtherModel,
        Some(_) if pod.app.conflict.is_some() => GuardState::PortConflict,
        Some(_) => match (generation, enforces) {
            (Some(newest), Some(enforces)) if newest == enforces => GuardState::Guarded,
            (Some(_), Some(_)) => GuardState::FormerWeights,
            _ => GuardState::Unacknowledged,
        },
    };
    SelectedPod { pod, report, state, enforces }
}

/// Whether a sidecar enforces every trait of a policy.
fn enforces(report: &PodCounts, policy: &ResolvedPolicy) -> bool {
    let refuses =
        report.policies.iter().any(|known| known.uid == policy.uid && !known.refused.is_empty());
    acknowledges(report, policy) && report.state == PodState::Ready && !refuses
}

/// The condition. `in_engine` is a problem of the plugin in model servers.
pub(super) fn guarded(
    policy: &PersonaPolicy,
    pods: &[SelectedPod<'_>],
    rejection: Option<&Rejection>,
    in_engine: Option<(String, String)>,
    not_created: Option<String>,
) -> NewCondition {
    if let Some(rejection) = rejection {
        let message = while_rejected(pods);
        return NewCondition::unmet(condition::GUARDED, rejection.reason, message);
    }
    if pods.is_empty() {
        if let Some(failure) = not_created {
            return NewCondition::unmet(condition::GUARDED, reason::PODS_NOT_CREATED, failure);
        }
        let message = "No pod of this namespace is selected: create one, or correct spec.selector.";
        return NewCondition::unknown(condition::GUARDED, reason::NO_PODS, message);
    }
    let uid = policy.metadata.uid.as_deref();
    let problem = in_engine
        .or_else(|| sidecar_problem(pods, uid))
        .or_else(|| pod_problem(pods, policy.spec.port.as_deref()));
    if let Some((reason, message)) = problem {
        return NewCondition::unmet(condition::GUARDED, reason, message);
    }
    let overridden = pods.iter().find_map(|selected| overridden(selected.pod)).unwrap_or_default();
    let message =
        format!("All {} selected pods acknowledged this generation.{overridden}", pods.len());
    NewCondition::met(condition::GUARDED, reason::ACKNOWLEDGED, message)
}

/// Variables by `envFrom` give way to those of the sidecar.
fn overridden(pod: &PodView) -> Option<String> {
    let container = pod.app.takes_variables.as_ref()?;
    (pod.app_port.is_none()).then(|| {
        format!(
            " Container {container} of pod {} takes variables by envFrom: {} and {} among them \
             give way to the sidecar's.",
            pod.name,
            names::BASE_URL_ENV,
            names::FORMER_BASE_URL_ENV
        )
    })
}

fn while_rejected(pods: &[SelectedPod<'_>]) -> String {
    let generations: Vec<i64> = pods.iter().filter_map(|selected| selected.enforces).collect();
    let Some(oldest) = generations.iter().min() else {
        return "The policy is not accepted, and no pod enforces an earlier generation. See \
                condition Accepted."
            .to_owned();
    };
    format!(
        "This generation is not accepted; {} pods enforce generation {oldest}. See condition \
         Accepted.",
        generations.len()
    )
}

/// The first problem that a sidecar reports.
fn sidecar_problem(pods: &[SelectedPod<'_>], uid: Option<&str>) -> Option<(String, String)> {
    let refused = |message| Some((reason::REFUSED_BY_SIDECAR.to_owned(), message));
    pods.iter().find_map(|SelectedPod { pod, report, .. }| {
        let report = (*report)?;
        if let Some(failure) = &report.failure {
            let state = match report.state {
                PodState::Loading => "does not serve yet",
                PodState::Ready | PodState::Failed => "cannot serve",
            };
            let message = format!("The sidecar of pod {} {state}: {}", pod.name, failure.message);
            return Some((failure.reason.clone(), message));
        }
        let own = report.policies.iter().filter(|known| Some(known.uid.as_str()) == uid);
        if let Some(trait_) = own.flat_map(|known| &known.refused).next() {
            return refused(format!(
                "The sidecar of pod {} refuses trait `{}`: {}",
                pod.name, trait_.vector, trait_.failure.message
            ));
        }
        let error = report.config_error.as_ref()?;
        refused(format!(
            "The sidecar of pod {} rejects its new config and keeps the previous one: {error}",
            pod.name
        ))
    })
}

/// The most serious state of a pod that is not guarded.
fn pod_problem(pods: &[SelectedPod<'_>], port: Option<&str>) -> Option<(String, String)> {
    let (reason, message) = other_model(pods)
        .or_else(|| no_sidecar(pods, port))
        .or_else(|| port_conflict(pods))
        .or_else(|| unacknowledged(pods))
        .or_else(|| former_weights(pods))?;
    Some((reason.to_owned(), message))
}

type Problem = (&'static str, String);

fn other_model(pods: &[SelectedPod<'_>]) -> Option<Problem> {
    let (count, first) = in_state(pods, GuardState::OtherModel)?;
    let message = format!(
        "{count} of {} selected pods have the sidecar of another model, among them {} ({}): make \
         sure that a pod is selected by policies of one model only, and restart it.",
        pods.len(),
        first.name,
        first.sidecar.as_deref().unwrap_or_default()
    );
    Some((reason::MODEL_CONFLICT, message))
}

fn no_sidecar(pods: &[SelectedPod<'_>], port: Option<&str>) -> Option<Problem> {
    let (count, first) = in_state(pods, GuardState::NoSidecar)?;
    let without = || pods.iter().filter(|it| it.state == GuardState::NoSidecar).map(|it| it.pod);
    // Each needs another remedy, so that one does not stand for both.
    let portless = |pod: &PodView| portless(pod, port?);
    let never =
        [without().find_map(exempt), without().find_map(namesake), without().find_map(portless)];
    let never: Vec<_> = never.into_iter().flatten().collect();
    let next = if never.is_empty() {
        "they are older than the policy, so restart their workloads (kubectl rollout restart)"
            .to_owned()
    } else {
        never.join("; ")
    };
    let message = format!(
        "{count} of {} selected pods have no sidecar, among them {}: {next}.",
        pods.len(),
        first.name
    );
    Some((reason::PODS_WITHOUT_SIDECAR, message))
}

/// A pod without a sidecar that would have none however often it is created.
fn exempt(pod: &PodView) -> Option<String> {
    let why = pod.exempt?;
    Some(format!("pod {} never gets one, because it is {why}", pod.name))
}

/// A pod whose own container has the sidecar's name.
fn namesake(pod: &PodView) -> Option<String> {
    let image = pod.namesake.as_ref()?;
    Some(format!(
        "pod {} has another container named {} (image {image}): rename it",
        pod.name,
        names::CONTAINER
    ))
}

/// A pod in which there is nothing to stand in front of.
fn portless(pod: &PodView, port: &str) -> Option<String> {
    let known = pod.app.ports.iter().any(|it| it.name.as_deref() == Some(port));
    (!known).then(|| {
        format!(
            "pod {} has no container port named {port}, by which the sidecar would take over: give \
             the model server's port that name (ports of its container)",
            pod.name
        )
    })
}

fn port_conflict(pods: &[SelectedPod<'_>]) -> Option<Problem> {
    let (count, first) = in_state(pods, GuardState::PortConflict)?;
    let (container, port) = first.app.conflict.as_ref()?;
    let message = format!(
        "{count} of {} selected pods want a port that their sidecar has, among them {}: its \
         container {container} declares port {port}. One of the two cannot listen: give the app \
         another port.",
        pods.len(),
        first.name
    );
    Some((reason::PORT_CONFLICT, message))
}

/// Of those that have not acknowledged, one that cannot is told before one that will.
fn unacknowledged(pods: &[SelectedPod<'_>]) -> Option<Problem> {
    let (count, first) = in_state(pods, GuardState::Unacknowledged)?;
    let waiting = || pods.iter().filter(|it| it.state == GuardState::Unacknowledged);
    let stuck =
        waiting().find_map(|it| Some((it.pod, not_started::problem(it.pod, it.report.is_some())?)));
    let (pod, (reason, why)) = match stuck {
        Some(stuck) => stuck,
        None => {
            let silent = waiting().find(|it| it.report.is_none()).map(|it| it.pod);
            let why = if silent.is_some() { not_started::NO_REPORT } else { BEHIND };
            (silent.unwrap_or(first), (reason::AWAITING_ACKNOWLEDGEMENT, why.to_owned()))
        }
    };
    let message = format!(
        "{count} of {} selected pods have not acknowledged this generation yet, among them {}: \
         {why}.",
        pods.len(),
        pod.name
    );
    Some((reason, message))
}

fn former_weights(pods: &[SelectedPod<'_>]) -> Option<Problem> {
    let (count, first) = in_state(pods, GuardState::FormerWeights)?;
    let message = format!(
        "{count} of {} selected pods run former weights of the model and enforce an earlier \
         generation, among them {}: restart their workloads (kubectl rollout restart).",
        pods.len(),
        first.name
    );
    Some((reason::FORMER_WEIGHTS, message))
}

/// How many pods are in a state, and the first of them.
fn in_state<'a>(pods: &[SelectedPod<'a>], state: GuardState) -> Option<(usize, &'a PodView)> {
    let mut matching = pods.iter().filter(|selected| selected.state == state);
    let count = matching.clone().count();
    Some((count, matching.next()?.pod))
}
