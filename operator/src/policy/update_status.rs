//! Step 5: says what was observed, and only that: what sidecars have not acknowledged is not
//! claimed.

use super::bypass;
use super::calibrate;
use super::dereference::Inputs;
use super::validate::Verdicts;
use crate::conditions::{Answer, Verdict, conditions};
use crate::context::Context;
use crate::events::Notice;
use crate::fleet::report::{InForce, compared, in_force};
use crate::pods::PodView;
use crate::reconcile::Failed;
use crate::services::ServiceView;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource, ResourceExt};
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{
    API_VERSION, Digest, PersonaPolicy, PersonaPolicyStatus, Placement, PodCounts, PodState,
    TrafficCalibration, TraitScores,
};
use personaguard_resolve::Rejection;
use personaguard_wire::ResolvedPolicy;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Updates the status of each policy of the scope; gives after how long one may differ by time
/// alone.
pub(super) async fn update(
    context: &Context,
    inputs: &Inputs,
    verdicts: &Verdicts,
) -> Result<Option<Duration>, Failed> {
    let scores = context.fleet.scores_within(&inputs.scope.namespace);
    let mut again: Option<Duration> = None;
    for policy in &inputs.policies {
        let name = policy.name_any();
        let in_force = verdicts.in_force(&name);
        let sampled = |vector: &str, basis: &Digest| {
            context.fleet.sample(&inputs.scope.namespace, &name, vector, basis)
        };
        let observation = Observation {
            policy,
            model: &inputs.scope.model,
            rejection: verdicts.rejected.get(&name),
            in_force,
            calibrations: calibrate::calibrations(policy, in_force, sampled),
            pods: &inputs.pods,
            services: &inputs.services,
            reports: &inputs.reports,
            workloads: &scores,
            now: Timestamp::now(),
        };
        let (status, unguarded, left) = observation.status();
        again = again.into_iter().chain(left).chain(calibrate::look_again(in_force)).min();
        let ready =
            status.conditions.iter().any(|c| c.type_ == condition::READY && c.status != "False");
        context.metrics.policy(&inputs.scope.namespace, &name, ready, unguarded);
        if policy.status.as_ref() != Some(&status) {
            write(context, policy, &status).await?;
        }
    }
    Ok(again)
}

async fn write(
    context: &Context,
    policy: &Arc<PersonaPolicy>,
    status: &PersonaPolicyStatus,
) -> Result<(), Failed> {
    let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let api: Api<PersonaPolicy> = Api::namespaced(context.cluster.client.clone(), &namespace);
    let patch = json!({
        "apiVersion": API_VERSION, "kind": "PersonaPolicy", "metadata": { "name": name, "namespace": namespace }, "status": status
    });
    match context.cluster.apply_status(&api, &name, &patch).await {
        Ok(written) => context.world.policies.absorb(written, Some),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if let Some(problem) = new_problem(policy.status.as_ref(), status) {
        let notice = Notice::warning(&problem.reason, "Accept", problem.message.clone());
        context.events.publish(&notice, &policy.object_ref(&())).await;
    }
    Ok(())
}

/// The condition `Accepted`, if it has just become False, or so for another reason.
fn new_problem<'a>(
    before: Option<&PersonaPolicyStatus>,
    after: &'a PersonaPolicyStatus,
) -> Option<&'a Condition> {
    let accepted = |status: &'a PersonaPolicyStatus| {
        status.conditions.iter().find(|c| c.type_ == condition::ACCEPTED)
    };
    let problem = accepted(after).filter(|accepted| accepted.status == "False")?;
    let known = before.is_some_and(|before| {
        before.conditions.iter().any(|c| {
            c.type_ == condition::ACCEPTED && c.status == "False" && c.reason == problem.reason
        })
    });
    (!known).then_some(problem)
}

/// Whether a sidecar enforces a policy exactly as it was resolved.
pub(super) fn acknowledges(report: &PodCounts, policy: &ResolvedPolicy) -> bool {
    report.policies.iter().any(|known| {
        known.uid == policy.uid
            && known.generation == policy.generation
            && (known.digest.is_none() || known.digest == policy.digest)
    })
}

/// What the status of a policy is made from.
pub(super) struct Observation<'a> {
    pub(super) policy: &'a PersonaPolicy,
    pub(super) model: &'a str,
    /// Why it is not enforced as it stands.
    pub(super) rejection: Option<&'a Rejection>,
    /// As sidecars are to enforce it; of an earlier generation where that one stays in force.
    pub(super) in_force: Option<&'a ResolvedPolicy>,
    /// What its traffic scored.
    pub(super) calibrations: Vec<TrafficCalibration>,
    pub(super) pods: &'a [Arc<PodView>],
    pub(super) services: &'a [Arc<ServiceView>],
    pub(super) reports: &'a BTreeMap<String, PodCounts>,
    /// Scores of each workload of the namespace, by `Kind/name`.
    pub(super) workloads: &'a BTreeMap<String, Vec<TraitScores>>,
    pub(super) now: Timestamp,
}

/// A pod that the policy selects, and where it stands.
struct Selected<'a> {
    pod: &'a PodView,
    report: Option<&'a PodCounts>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It enforces this generation, all of it.
    Guarded,
    /// Its sidecar has not acknowledged this generation (yet).
    Waiting,
    /// It has no sidecar.
    Bare,
    /// It has the sidecar of another model.
    OtherModel,
}

impl Observation<'_> {
    /// The status, pods that do not enforce the policy, and after how long it may differ by time
    /// alone.
    pub(super) fn status(&self) -> (PersonaPolicyStatus, usize, Option<Duration>) {
        let spec = &self.policy.spec;
        let selected: Vec<_> = self
            .pods
            .iter()
            .filter(|pod| personaguard_api::selects(&spec.selector, &pod.labels))
            .map(|pod| self.standing(pod))
            .collect();
        let guarded = selected.iter().filter(|s| s.standing == Standing::Guarded).count();
        let breaches: Vec<(&String, Vec<InForce>)> = self
            .workloads
            .iter()
            .map(|(workload, traits)| (workload, in_force(self.policy, traits, self.now)))
            .filter(|(_, breaches)| !breaches.is_empty())
            .collect();
        let accepted = self.accepted();
        let guard = self.guarded(&selected);
        let bypass = (spec.placement == Placement::Proxy).then(|| {
            let pods: Vec<_> = selected.iter().map(|selected| selected.pod).collect();
            bypass::detect(&pods, self.services)
        });
        let ready = ready(&accepted, &guard, bypass.as_ref());
        let calibrated =
            calibrate::calibrated(self.policy, self.in_force, self.rejection, &self.calibrations);
        let verdicts: Vec<_> = [ready, accepted, guard, breached(&breaches)]
            .into_iter()
            .chain(bypass)
            .chain(calibrated)
            .collect();
        let before = self
            .policy
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let status = PersonaPolicyStatus {
            observed_generation: self.policy.metadata.generation,
            acknowledged_generation: self.acknowledged(&selected),
            traits: u32::try_from(spec.traits.len()).unwrap_or(u32::MAX),
            guarded: Some(format!("{guarded}/{}", selected.len())),
            breached: u32::try_from(breaches.len()).unwrap_or(u32::MAX),
            calibrations: self.calibrations.clone(),
            conditions: conditions(&verdicts, before, self.policy.metadata.generation, self.now),
        };
        let left =
            breaches.iter().flat_map(|(_, breaches)| breaches).map(|breach| breach.left).min();
        (status, selected.len() - guarded, left)
    }

    fn standing<'b>(&'b self, pod: &'b PodView) -> Selected<'b> {
        let report = self.reports.get(&pod.uid);
        let whole = |report: &PodCounts, resolved: &ResolvedPolicy| {
            let refused = report
                .policies
                .iter()
                .any(|known| known.uid == resolved.uid && !known.refused.is_empty());
            acknowledges(report, resolved) && report.state == PodState::Ready && !refused
        };
        let standing = match (pod.sidecar.as_deref(), self.in_force, report) {
            (None, ..) => Standing::Bare,
            (Some(model), ..) if model != self.model => Standing::OtherModel,
            (Some(_), Some(resolved), Some(report))
                if self.rejection.is_none() && whole(report, resolved) =>
            {
                Standing::Guarded
            }
            _ => Standing::Waiting,
        };
        Selected { pod, report, standing }
    }

    /// The oldest generation that one of the pods acknowledged.
    fn acknowledged(&self, selected: &[Selected<'_>]) -> Option<i64> {
        let uid = self.policy.metadata.uid.as_deref();
        let known = selected
            .iter()
            .filter_map(|selected| selected.report)
            .flat_map(|report| &report.policies);
        known.filter(|known| Some(known.uid.as_str()) == uid).map(|known| known.generation).min()
    }

    fn accepted(&self) -> Verdict {
        match self.rejection {
            Some(rejection) => {
                Verdict::no(condition::ACCEPTED, rejection.reason, rejection.message.clone())
            }
            None => {
                let message = format!(
                    "Model {} and {} vectors were found and fit.",
                    self.model,
                    self.policy.spec.traits.len()
                );
                Verdict::yes(condition::ACCEPTED, reason::RESOLVED, message)
            }
        }
    }

    fn guarded(&self, selected: &[Selected<'_>]) -> Verdict {
        let no = |reason: &str, message: String| Verdict::no(condition::GUARDED, reason, message);
        if let Some(rejection) = self.rejection {
            let holding = self.in_force.map_or(0, |old| {
                selected
                    .iter()
                    .filter(|s| s.report.is_some_and(|report| acknowledges(report, old)))
                    .count()
            });
            let message = match self.in_force {
                Some(old) => format!(
                    "This generation is not accepted; {holding} pods enforce generation {}. See condition Accepted.",
                    old.generation
                ),
                None => {
                    "The policy is not accepted, so nothing is enforced. See condition Accepted."
                        .to_owned()
                }
            };
            return no(rejection.reason, message);
        }
        if selected.is_empty() {
            let message =
                "No pod of this namespace is selected: create one, or correct spec.selector.";
            return Verdict::unknown(condition::GUARDED, reason::NO_PODS, message);
        }
        self.complaint(selected).map(|(reason, message)| no(&reason, message)).unwrap_or_else(
            || {
                let message = format!(
                    "All {} selected pods acknowledged to enforce this generation.",
                    selected.len()
                );
                Verdict::yes(condition::GUARDED, reason::ACKNOWLEDGED, message)
            },
        )
    }

    /// The gravest reason for which not every pod is guarded.
    fn complaint(&self, selected: &[Selected<'_>]) -> Option<(String, String)> {
        let uid = self.policy.metadata.uid.as_deref();
        for Selected { pod, report, .. } in selected {
            let Some(report) = report else { continue };
            if let Some(failure) = &report.failure {
                return Some((
                    failure.reason.clone(),
                    format!("The sidecar of pod {} cannot serve: {}", pod.name, failure.message),
                ));
            }
            let mine = report.policies.iter().filter(|known| Some(known.uid.as_str()) == uid);
            if let Some(refused) = mine.flat_map(|known| &known.refused).next() {
                let message = format!(
                    "The sidecar of pod {} refuses trait `{}`: {}",
                    pod.name, refused.vector, refused.failure.message
                );
                return Some((reason::REFUSED_BY_SIDECAR.to_owned(), message));
            }
            if let Some(error) = &report.config_error {
                let message = format!(
                    "The sidecar of pod {} does not take its config, and stays with the one before: {error}",
                    pod.name
                );
                return Some((reason::REFUSED_BY_SIDECAR.to_owned(), message));
            }
        }
        let with = |standing| selected.iter().filter(move |s| s.standing == standing);
        let total = selected.len();
        if let Some(first) = with(Standing::OtherModel).next() {
            let message = format!(
                "{} of {total} selected pods have the sidecar of another model, among them {} ({}): let only policies of one model select a pod, and restart it.",
                with(Standing::OtherModel).count(),
                first.pod.name,
                first.pod.sidecar.as_deref().unwrap_or_default()
            );
            return Some((reason::MODEL_CONFLICT.to_owned(), message));
        }
        if let Some(first) = with(Standing::Bare).next() {
            let next = match with(Standing::Bare).find_map(|s| Some((s.pod, s.pod.exempt?))) {
                Some((pod, exempt)) => format!("pod {} never gets one: it is {exempt}", pod.name),
                None => {
                    "restart their workloads (kubectl rollout restart), they were there before the policy".to_owned()
                }
            };
            let message = format!(
                "{} of {total} selected pods have no sidecar, among them {}: {next}.",
                with(Standing::Bare).count(),
                first.pod.name
            );
            return Some((reason::PODS_WITHOUT_SIDECAR.to_owned(), message));
        }
        let first = with(Standing::Waiting).next()?;
        let message = format!(
            "{} of {total} selected pods have not acknowledged this generation yet, among them {}. If that lasts, look at the log of its container personaguard.",
            with(Standing::Waiting).count(),
            first.pod.name
        );
        Some((reason::AWAITING_ACKNOWLEDGEMENT.to_owned(), message))
    }
}

fn ready(accepted: &Verdict, guarded: &Verdict, bypass: Option<&Verdict>) -> Verdict {
    let problem = [accepted, guarded].into_iter().find(|verdict| verdict.status != Answer::True);
    let bypass = bypass.filter(|verdict| verdict.status == Answer::True);
    match (problem, bypass) {
        (Some(problem), _) => Verdict { type_: condition::READY, ..problem.clone() },
        (None, Some(bypass)) => {
            Verdict::no(condition::READY, bypass.reason.clone(), bypass.message.clone())
        }
        (None, None) => Verdict::yes(condition::READY, reason::GUARDING, guarded.message.clone()),
    }
}

fn breached(workloads: &[(&String, Vec<InForce>)]) -> Verdict {
    let all = workloads
        .iter()
        .flat_map(|(workload, breaches)| breaches.iter().map(move |breach| (workload, breach)));
    let excess = |breach: &InForce| (breach.breach.score - breach.breach.threshold).abs();
    let Some((workload, worst)) = all.max_by(|(_, a), (_, b)| excess(a).total_cmp(&excess(b)))
    else {
        return Verdict::no(
            condition::TRAIT_BREACHED,
            reason::WITHIN_THRESHOLDS,
            "No workload is past a threshold.",
        );
    };
    let message = format!(
        "{} in {workload} (response {}); workloads with a breach in force: {}. See kubectl get personareports.",
        compared(&worst.vector, &worst.breach),
        worst.breach.response_id,
        workloads.len()
    );
    Verdict::yes(condition::TRAIT_BREACHED, reason::THRESHOLD_PASSED, message)
}

#[cfg(test)]
#[path = "update_status_tests.rs"]
mod tests;
