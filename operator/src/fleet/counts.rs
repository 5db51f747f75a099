//! Counts of one workload, exact across restarts of sidecars, of pods and of the operator. Pushes
//! are cumulative; this is how they are merged.

mod audit_log;
mod convert;
mod effect;
mod merge;
mod process;

pub(crate) use effect::{NewBreach, PushEffect};
pub(crate) use process::{Contested, Origin, Process};

use convert::pod_counts;
use jiff::Timestamp;
use merge::{add, at_least, merge_into, without_sample};
use personaguard_api::{Digest, PersonaReportStatus, PodCounts, Totals, TraitScores};
use personaguard_wire::{Sample, SidecarReport};
use process::{Claim, judge};
use std::collections::{BTreeMap, BTreeSet};

/// Traits for which a workload keeps the counts of sidecars that are gone.
const MAX_RETIRED_TRAITS: usize = 256;

/// What the sidecars of a workload counted. It can be rebuilt from the status of a `PersonaReport`,
/// so that a new leader knows the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WorkloadCounts {
    /// Last push of each existing pod, by pod UID.
    pods: BTreeMap<String, PodCounts>,
    retired: Totals,
    retired_traits: Vec<TraitScores>,
}

impl WorkloadCounts {
    pub(crate) fn from_status(status: &PersonaReportStatus) -> Self {
        Self {
            pods: status.pods.iter().map(|pod| (pod.uid.clone(), pod.clone())).collect(),
            retired: status.retired,
            retired_traits: status.retired_traits.clone(),
        }
    }

    /// Adds what a former leader wrote and nobody could read until now. Processes that were
    /// `counted` since have said everything themselves.
    pub(crate) fn add_former(&mut self, status: &PersonaReportStatus, counted: &BTreeSet<Process>) {
        self.retired = add(self.retired, status.retired);
        let newer = std::mem::replace(&mut self.retired_traits, status.retired_traits.clone());
        for scores in &newer {
            merge_into(&mut self.retired_traits, scores, MAX_RETIRED_TRAITS);
        }
        for pod in &status.pods {
            if counted.contains(&Process::of(pod)) {
                continue;
            }
            if self.pods.contains_key(&pod.uid) {
                self.retire_counts(pod);
            } else {
                self.pods.insert(pod.uid.clone(), pod.clone());
            }
        }
    }

    /// The part of a status from which the counts can be rebuilt.
    pub(crate) fn to_status(&self) -> PersonaReportStatus {
        let mut pods: Vec<_> = self.pods.values().cloned().collect();
        // Live pods report their samples again, and so many would not fit the object.
        pods.iter_mut().flat_map(|pod| &mut pod.traits).for_each(|scores| scores.sample = None);
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        PersonaReportStatus {
            totals: self.totals(),
            traits: self.traits(),
            pods,
            retired: self.retired,
            retired_traits: self.retired_traits.clone(),
            ..PersonaReportStatus::default()
        }
    }

    /// Merges the push of an existing pod. A stale push changes nothing.
    pub(crate) fn record(
        &mut self,
        name: &str,
        uid: &str,
        origin: Origin,
        report: &SidecarReport,
        now: Timestamp,
    ) -> Result<PushEffect, Contested> {
        if self.is_stale(uid, report) {
            return Ok(PushEffect::default());
        }
        let known = self.pods.get(uid);
        let claim = known.map(|known| judge(known, &report.instance, origin)).transpose()?;
        let origin = match known {
            Some(known) if claim == Some(Claim::Same) => Origin {
                restarts: known.restarts,
                own_address: known.own_address || origin.own_address,
                ..origin
            },
            _ => origin,
        };
        self.retire_namesakes(name, uid);
        // What one that was never within the pod said of the log is no anchor.
        let displaced = claim == Some(Claim::Rightful) && origin.own_address;
        let before = self.pods.get(uid).filter(|known| !displaced || known.own_address);
        let audit_log = audit_log::after(before, report, now);
        let mut new = PodCounts { audit_log, ..pod_counts(name, uid, origin, report, now) };
        let same = self.pods.get(uid).filter(|_| claim == Some(Claim::Same)).cloned();
        if let Some(known) = same {
            new.totals = at_least(known.totals, new.totals);
            known.traits.iter().filter(|scores| went_back(scores, &new)).for_each(|scores| {
                self.retire_trait(scores);
            });
        }
        let known = self.pods.insert(uid.to_owned(), new.clone());
        let effect = PushEffect {
            displaced: claim == Some(Claim::Rightful),
            ..PushEffect::of(known.as_ref(), &new)
        };
        if let Some(former) = known.filter(|_| claim == Some(Claim::Successor)) {
            self.retire_counts(&former);
        }
        Ok(effect)
    }

    /// Adds the counts of a pod that is gone to the retired ones. Returns whether it was known.
    pub(crate) fn retire_pod(&mut self, uid: &str) -> bool {
        let Some(pod) = self.pods.remove(uid) else { return false };
        self.retire_counts(&pod);
        true
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = &PodCounts> {
        self.pods.values()
    }

    pub(crate) fn pod(&self, uid: &str) -> Option<&PodCounts> {
        self.pods.get(uid)
    }

    /// Counts over the workload's whole life.
    pub(crate) fn totals(&self) -> Totals {
        self.pods.values().fold(self.retired, |sum, pod| add(sum, pod.totals))
    }

    /// Scores over the workload's whole life, by policy and vector, without samples.
    pub(crate) fn traits(&self) -> Vec<TraitScores> {
        let mut merged: Vec<_> = self.retired_traits.iter().map(without_sample).collect();
        for scores in self.pods.values().flat_map(|pod| &pod.traits) {
            merge_into(&mut merged, &without_sample(scores), usize::MAX);
        }
        merged
    }

    /// Everything that was sampled for a trait on one basis, including by sidecars that are gone.
    pub(crate) fn sample(&self, policy: &str, vector: &str, basis: &Digest) -> Sample {
        let live = self.pods.values().flat_map(|pod| &pod.traits);
        let samples = self
            .retired_traits
            .iter()
            .chain(live)
            .filter(|scores| scores.policy == policy && scores.vector == vector)
            .filter_map(|scores| scores.sample.as_ref())
            .filter(|sample| sample.basis == *basis);
        let mut merged = Sample::new(basis.clone());
        samples.for_each(|sample| merged.merge(&sample.clone().into()));
        merged
    }

    /// Not newer than the last push of the same process.
    fn is_stale(&self, uid: &str, report: &SidecarReport) -> bool {
        self.pods.get(uid).is_some_and(|known| {
            known.instance == report.instance && report.sequence <= known.sequence
        })
    }

    /// A pod's name is reused only when the pod before is gone.
    fn retire_namesakes(&mut self, name: &str, uid: &str) {
        let namesakes: Vec<_> = self
            .pods
            .values()
            .filter(|pod| pod.name == name && pod.uid != uid)
            .map(|pod| pod.uid.clone())
            .collect();
        for uid in namesakes {
            self.retire_pod(&uid);
        }
    }

    fn retire_counts(&mut self, pod: &PodCounts) {
        self.retired = add(self.retired, pod.totals);
        pod.traits.iter().for_each(|scores| self.retire_trait(scores));
    }

    fn retire_trait(&mut self, scores: &TraitScores) {
        let scores = TraitScores { drift: None, ..scores.clone() };
        merge_into(&mut self.retired_traits, &scores, MAX_RETIRED_TRAITS);
    }
}

/// Whether a process does not count a trait any more, or began it anew: it keeps a bounded number.
fn went_back(scores: &TraitScores, new: &PodCounts) -> bool {
    let mut same = new.traits.iter();
    let same = same.find(|it| it.policy == scores.policy && it.vector == scores.vector);
    same.is_none_or(|new| new.scored < scores.scored || new.breaches < scores.breaches)
}

#[cfg(test)]
mod tests;
