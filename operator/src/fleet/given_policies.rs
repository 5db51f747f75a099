//! What the sidecars of a scope can have something to say of: the policies of their config. A pod
//! reports for no policy that does not select it, and no names that nobody gave it. Pure.

use crate::objects::PodView;
use personaguard_api::PodCounts;
use personaguard_wire::{
    GuardConfig, PolicyAcknowledgement, ResolvedPolicy, SidecarReport, TraitSummary,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Policies of a scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenPolicies {
    present: Vec<ResolvedPolicy>,
    /// For pods that were made for former weights, by the identity of their model.
    former: BTreeMap<String, Vec<ResolvedPolicy>>,
}

impl GivenPolicies {
    pub(crate) fn new<'a>(
        present: &GuardConfig,
        former: impl Iterator<Item = (&'a String, &'a GuardConfig)>,
    ) -> Self {
        let former = former.map(|(identity, old)| (identity.clone(), old.policies.clone()));
        Self { present: present.policies.clone(), former: former.collect() }
    }

    /// A report without the rest. Of what the same pod was heard to say before, nothing is left
    /// out: it goes on counting for policies that are gone. Counts are cumulative, so what comes
    /// before its policy is not lost.
    pub(super) fn part_of<'a>(
        &self,
        report: &'a SidecarReport,
        pod: &PodView,
        known: Option<&PodCounts>,
    ) -> Cow<'a, SidecarReport> {
        let policies: Vec<_> = self.policies_of(pod).collect();
        let keeps_scores = |scores: &TraitSummary| {
            policies.iter().any(|policy| lists(policy, scores))
                || known.is_some_and(|known| knows(known, scores))
        };
        let keeps_policy = |acknowledged: &PolicyAcknowledgement| {
            policies.iter().any(|policy| policy.uid == acknowledged.uid)
                || known.is_some_and(|known| acknowledged_before(known, acknowledged))
        };
        // Nearly every report is kept whole, and some are long.
        if report.traits.iter().all(keeps_scores) && report.policies.iter().all(keeps_policy) {
            return Cow::Borrowed(report);
        }
        let mut part = report.clone();
        part.traits.retain(keeps_scores);
        part.policies.retain(keeps_policy);
        Cow::Owned(part)
    }

    fn policies_of<'a>(&'a self, pod: &'a PodView) -> impl Iterator<Item = &'a ResolvedPolicy> {
        let former = pod.identity.as_ref().and_then(|identity| self.former.get(identity));
        former.unwrap_or(&self.present).iter().filter(|policy| policy.selects(&pod.labels))
    }
}

fn lists(policy: &ResolvedPolicy, scores: &TraitSummary) -> bool {
    policy.name == scores.policy && policy.traits.iter().any(|rule| rule.vector == scores.vector)
}

fn knows(known: &PodCounts, scores: &TraitSummary) -> bool {
    let mut before = known.traits.iter();
    before.any(|before| before.policy == scores.policy && before.vector == scores.vector)
}

fn acknowledged_before(known: &PodCounts, acknowledged: &PolicyAcknowledgement) -> bool {
    known.policies.iter().any(|before| before.uid == acknowledged.uid)
}
