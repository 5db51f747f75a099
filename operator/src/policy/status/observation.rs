//! The status of a policy, from what was observed. Pure.

use super::bypass;
use super::calibration;
use super::engine;
use super::guarded::{GuardState, SelectedPod, classify, guarded};
use super::staleness;
use crate::fleet::{ActiveBreach, active_breaches, loaded};
use crate::keys::Kind;
use crate::objects::FailedCreation;
use crate::objects::PodView;
use crate::objects::conditions::{ConditionStatus, NewCondition, conditions};
use crate::policy::dereference::Inputs;
use crate::policy::validate::Validated;
use crate::unreadable;
use jiff::Timestamp;
use kube::ResourceExt;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{
    PersonaPolicy, PersonaPolicyStatus, Placement, TrafficCalibration, TraitScores,
};
use personaguard_resolve::Rejection;
use personaguard_wire::ResolvedPolicy;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between looks for why there is no pod: no watch says so.
const NO_PODS_CHECK: Duration = Duration::from_secs(30);

/// What was observed of a policy.
pub(crate) struct Observation<'a> {
    pub(crate) policy: &'a PersonaPolicy,
    pub(crate) inputs: &'a Inputs,
    pub(crate) validated: &'a Validated,
    /// A write for the scope that the API server refused.
    pub(crate) refusal: Option<&'a str>,
    /// Calibrations on its traffic.
    pub(crate) calibrations: Vec<TrafficCalibration>,
    /// Scores of each workload of the namespace, by `Kind/name`.
    pub(crate) workloads: &'a BTreeMap<String, Vec<TraitScores>>,
    pub(crate) now: Timestamp,
}

#[derive(Debug)]
pub(crate) struct ObservedStatus {
    pub(crate) status: PersonaPolicyStatus,
    /// Number of selected pods that do not enforce the policy.
    pub(crate) unguarded: usize,
    /// After how long the status changes even if nothing happens.
    pub(crate) changes_in: Option<Duration>,
}

impl Observation<'_> {
    pub(crate) fn status(&self) -> ObservedStatus {
        let spec = &self.policy.spec;
        let pods = self.selected_pods();
        let guarded = pods.iter().filter(|pod| pod.state == GuardState::Guarded).count();
        let breaches = self.active_breaches();
        let before = self.policy.status.as_ref();
        let before = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let generation = self.policy.metadata.generation;
        let new = self.conditions(&pods, &breaches);
        let status = PersonaPolicyStatus {
            observed_generation: generation,
            loaded: loaded(pods.iter().filter_map(|selected| selected.report)),
            acknowledged_generation: self.acknowledged_generation(&pods),
            traits: u32::try_from(spec.traits.len()).unwrap_or(u32::MAX),
            guarded: Some(format!("{guarded}/{}", pods.len())),
            breached: u32::try_from(breaches.len()).unwrap_or(u32::MAX),
            calibrations: self.calibrations.clone(),
            conditions: conditions(&new, before, generation, self.now),
        };
        ObservedStatus {
            status,
            unguarded: pods.len() - guarded,
            changes_in: breaches
                .values()
                .flatten()
                .map(|breach| breach.left)
                .chain(pods.is_empty().then_some(NO_PODS_CHECK))
                .min(),
        }
    }

    fn selected_pods(&self) -> Vec<SelectedPod<'_>> {
        // Of a policy that is not accepted, also those that it selected in the generation in force.
        let stays = |pod: &PodView| {
            let in_force = self.rejection().and_then(|_| self.in_force_in(pod));
            in_force.is_some_and(|in_force| in_force.selects(&pod.labels))
        };
        let selected = self.inputs.pods.iter().filter(|pod| {
            personaguard_api::selects(&self.policy.spec.selector, &pod.labels) || stays(pod)
        });
        selected
            .map(|pod| {
                let report = self.inputs.reports.get(&pod.uid);
                let newest = self.policy.metadata.generation.filter(|_| self.rejection().is_none());
                classify(pod, report, &self.inputs.scope.model, self.in_force_in(pod), newest)
            })
            .collect()
    }

    /// Why it is not enforced as written.
    fn rejection(&self) -> Option<&Rejection> {
        self.validated.rejected.get(&self.policy.name_any())
    }

    /// The policy as a pod is to enforce it: by the weights that it was made for, and by its model.
    fn in_force_in(&self, pod: &PodView) -> Option<&ResolvedPolicy> {
        let (name, uid) = (self.policy.name_any(), self.policy.uid().unwrap_or_default());
        if pod.sidecar.as_deref() == Some(&self.inputs.scope.model) {
            return self.validated.in_force_in(pod, &name);
        }
        let elsewhere = self.inputs.elsewhere.get(&uid);
        let elsewhere = elsewhere.filter(|it| Some(&it.model) == pod.sidecar.as_ref());
        elsewhere.map(|it| &it.policy)
    }

    /// By workload.
    fn active_breaches(&self) -> BTreeMap<&str, Vec<ActiveBreach>> {
        let breaches = self.workloads.iter().map(|(workload, traits)| {
            (workload.as_str(), active_breaches(self.policy, traits, self.now))
        });
        breaches.filter(|(_, breaches)| !breaches.is_empty()).collect()
    }

    fn conditions(
        &self,
        pods: &[SelectedPod<'_>],
        breaches: &BTreeMap<&str, Vec<ActiveBreach>>,
    ) -> Vec<NewCondition> {
        let accepted = self.accepted();
        let in_force = self.validated.in_force(&self.policy.name_any());
        let not_created = not_created(self.policy, &self.inputs.failed_creations);
        let in_engine = engine::problem(self.policy, pods);
        let guarded = guarded(self.policy, pods, self.rejection(), in_engine, not_created);
        let guarded = self.unreadable_pod().unwrap_or(guarded);
        let bypass = self.bypass(pods);
        let refused = self.refusal.map(|refusal| {
            let message = format!("The API server refuses to write {refusal}. It is tried again.");
            NewCondition::unmet(condition::READY, reason::WRITE_REFUSED, message)
        });
        let ready = refused.unwrap_or_else(|| ready(&accepted, &guarded, &bypass));
        let calibrated =
            calibration::calibrated(self.policy, in_force, self.rejection(), &self.calibrations);
        let always = [ready, accepted, guarded, trait_breached(breaches), bypass];
        let stale = staleness::detect(self.policy, pods);
        always.into_iter().chain(calibrated).chain(stale).collect()
    }

    /// A selected pod that cannot be read cannot be said to enforce anything.
    fn unreadable_pod(&self) -> Option<NewCondition> {
        let selected = self.inputs.unreadable_pods.iter().find(|pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            personaguard_api::selects(&self.policy.spec.selector, &labels)
        })?;
        let name = selected.metadata.name.as_deref().unwrap_or_default();
        let message = unreadable::message(Kind::Pod, name, selected);
        Some(NewCondition::unmet(condition::GUARDED, reason::UNREADABLE, message))
    }

    fn bypass(&self, pods: &[SelectedPod<'_>]) -> NewCondition {
        let placement = self.policy.spec.placement;
        let found = bypass::detect(placement, pods, &self.inputs.services);
        match self.inputs.unreadable_services.first() {
            Some(service)
                if placement != Placement::Serve && found.status != ConditionStatus::True =>
            {
                let name = service.metadata.name.as_deref().unwrap_or_default();
                let message = unreadable::message(Kind::Service, name, service);
                NewCondition::unknown(condition::BYPASS_DETECTED, reason::UNREADABLE, message)
            }
            _ => found,
        }
    }

    fn accepted(&self) -> NewCondition {
        if let Some(Rejection { reason, message }) = self.rejection() {
            return NewCondition::unmet(condition::ACCEPTED, *reason, message.clone());
        }
        let message = format!(
            "Model {} and {} vectors were found and fit.",
            self.inputs.scope.model,
            self.policy.spec.traits.len()
        );
        NewCondition::met(condition::ACCEPTED, reason::RESOLVED, message)
    }

    /// The oldest generation that a pod acknowledged.
    fn acknowledged_generation(&self, pods: &[SelectedPod<'_>]) -> Option<i64> {
        let uid = self.policy.metadata.uid.as_deref();
        let reports = pods.iter().filter_map(|selected| selected.report);
        let known = reports.flat_map(|report| &report.policies);
        known.filter(|known| Some(known.uid.as_str()) == uid).map(|known| known.generation).min()
    }
}

/// Why no pod of the policy is there, if that is known.
fn not_created(policy: &PersonaPolicy, failed: &[FailedCreation]) -> Option<String> {
    let selects =
        |it: &&FailedCreation| personaguard_api::selects(&policy.spec.selector, &it.labels);
    let FailedCreation { workload, why, .. } = failed.iter().find(selects)?;
    Some(format!("{workload} cannot create its pods: {why}."))
}

fn ready(accepted: &NewCondition, guarded: &NewCondition, bypass: &NewCondition) -> NewCondition {
    let problem = [accepted, guarded].into_iter().find(|it| it.status != ConditionStatus::True);
    let bypass = Some(bypass).filter(|bypass| bypass.status == ConditionStatus::True);
    match (problem, bypass) {
        (Some(problem), _) => NewCondition { type_: condition::READY, ..problem.clone() },
        (None, Some(NewCondition { reason, message, .. })) => {
            NewCondition::unmet(condition::READY, reason.clone(), message.clone())
        }
        (None, None) => {
            NewCondition::met(condition::READY, reason::GUARDING, guarded.message.clone())
        }
    }
}

fn trait_breached(workloads: &BTreeMap<&str, Vec<ActiveBreach>>) -> NewCondition {
    let all = workloads
        .iter()
        .flat_map(|(workload, breaches)| breaches.iter().map(move |breach| (workload, breach)));
    let worst = all.max_by(|(_, a), (_, b)| a.excess().total_cmp(&b.excess()));
    let Some((workload, worst)) = worst else {
        return NewCondition::unmet(
            condition::TRAIT_BREACHED,
            reason::WITHIN_THRESHOLDS,
            "No workload is past a threshold.",
        );
    };
    let message = format!(
        "{} in {workload} (response {}); workloads with an active breach: {}. See kubectl get \
         personareports.",
        worst.comparison(),
        worst.breach.response_id,
        workloads.len()
    );
    NewCondition::met(condition::TRAIT_BREACHED, reason::THRESHOLD_PASSED, message)
}
