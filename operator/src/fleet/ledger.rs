//! Counts of one workload, exact over restarts of sidecars, of pods and of the operator: the merge
//! of cumulative pushes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{
    self as api, Digest, DriftCharts, LastBreach, PersonaReportStatus, PodCounts, Totals,
    TraitScores,
};
use personaguard_wire::{PodState, Sample, SidecarReport, TraitSummary};
use std::collections::BTreeMap;

/// Traits of which a workload keeps the counts of sidecars that are gone.
const MAX_RETIRED_TRAITS: usize = 256;

/// Processes of one pod that are remembered as followed by another.
const MAX_FORMER: usize = 16;

/// What is known of a workload's sidecars. Rebuilt from a `PersonaReport`'s status, so that a new
/// leader knows the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    /// Last push of each pod that exists, by pod UID.
    pods: BTreeMap<String, PodCounts>,
    retired: Totals,
    retired_traits: Vec<TraitScores>,
    /// Sidecar processes of each pod that were followed by another: a push of theirs that comes
    /// late is stale. Not kept over a change of leader, which takes longer than a push may.
    former: BTreeMap<String, Vec<String>>,
}

/// A breach that was not known before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewBreach {
    pub(crate) policy: String,
    pub(crate) vector: String,
    pub(crate) pod: String,
    pub(crate) action: personaguard_api::Action,
    pub(crate) at: LastBreach,
}

/// What a push changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// Counts or scores.
    pub(crate) counts: bool,
    /// Acknowledgements, refusals, or the state of the sidecar: what conditions follow from.
    pub(crate) state: bool,
    /// A response that breached has ended: what was told of it while it was written is now counted.
    pub(crate) breach_counted: bool,
    /// Drift of a trait was detected, or is over.
    pub(crate) drift: bool,
    pub(crate) breaches: Vec<NewBreach>,
}

impl Ledger {
    pub(crate) fn from_status(status: &PersonaReportStatus) -> Self {
        Self {
            pods: status.pods.iter().map(|pod| (pod.uid.clone(), pod.clone())).collect(),
            retired: status.retired,
            retired_traits: status.retired_traits.clone(),
            former: BTreeMap::new(),
        }
    }

    /// Merges a push of a pod that exists. A push that is not newer than the last one of the same
    /// process changes nothing.
    pub(crate) fn take(
        &mut self,
        name: &str,
        uid: &str,
        report: &SidecarReport,
        now: Timestamp,
    ) -> Taken {
        let known = self.pods.get(uid);
        if known.is_some_and(|known| {
            known.instance == report.instance && report.sequence <= known.sequence
        }) {
            return Taken::default();
        }
        if self.former.get(uid).is_some_and(|former| former.contains(&report.instance)) {
            return Taken::default();
        }
        // A name is given anew only when the pod before is gone.
        let before: Vec<_> =
            self.pods.values().filter(|pod| pod.name == name && pod.uid != uid).cloned().collect();
        before.iter().for_each(|pod| {
            self.retire(&pod.uid);
        });
        let new = counts(name, uid, report, now);
        let Some(known) = self.pods.insert(uid.to_owned(), new.clone()) else {
            let breach_counted = new.totals.breaches > 0;
            let drift = new.traits.iter().any(drifts);
            return Taken {
                counts: true,
                state: true,
                breach_counted,
                drift,
                breaches: breaches(None, &new),
            };
        };
        let breaches = breaches(Some(&known), &new);
        if known.instance != new.instance {
            // The process before has counted for the last time.
            self.retire_counts(&known);
            let former = self.former.entry(uid.to_owned()).or_default();
            former.push(known.instance.clone());
            if former.len() > MAX_FORMER {
                former.remove(0);
            }
        }
        let state = |pod: &PodCounts| {
            let PodCounts { model, policies, failure, config_error, state, model_digest, .. } =
                pod.clone();
            (model, policies, failure, config_error, state, model_digest)
        };
        Taken {
            counts: known.totals != new.totals
                || known.traits != new.traits
                || known.instance != new.instance,
            state: state(&known) != state(&new),
            breach_counted: new.totals.breaches != known.totals.breaches,
            drift: known.traits.iter().map(drifts).ne(new.traits.iter().map(drifts)),
            breaches,
        }
    }

    /// The pod is gone: its counts stay in the sum. Says whether there were any; a second time
    /// changes nothing.
    pub(crate) fn retire(&mut self, uid: &str) -> bool {
        self.former.remove(uid);
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

    pub(crate) fn retired(&self) -> (Totals, &[TraitScores]) {
        (self.retired, &self.retired_traits)
    }

    /// Counts over the workload's whole life.
    pub(crate) fn totals(&self) -> Totals {
        self.pods.values().fold(self.retired, |sum, pod| add(sum, pod.totals))
    }

    /// Scores over the workload's whole life, by policy and vector.
    pub(crate) fn traits(&self) -> Vec<TraitScores> {
        let mut merged: Vec<_> = self.retired_traits.iter().map(without_sample).collect();
        for scores in self.pods.values().flat_map(|pod| &pod.traits) {
            merge_into(&mut merged, &without_sample(scores), usize::MAX);
        }
        merged
    }

    /// What was sampled of a trait under a basis, by sidecars that are gone, too.
    pub(crate) fn sample(&self, policy: &str, vector: &str, basis: &Digest) -> Sample {
        let mut all_of_it = Sample::new(basis.clone());
        let all = self.retired_traits.iter().chain(self.pods.values().flat_map(|pod| &pod.traits));
        let samples = all.filter(|scores| scores.policy == policy && scores.vector == vector);
        samples
            .filter_map(|scores| scores.sample.as_ref())
            .filter(|sample| sample.basis == *basis)
            .for_each(|sample| all_of_it.merge(&sample.clone().into()));
        all_of_it
    }

    fn retire_counts(&mut self, pod: &PodCounts) {
        self.retired = add(self.retired, pod.totals);
        for scores in &pod.traits {
            let scores = TraitScores { drift: None, ..scores.clone() };
            merge_into(&mut self.retired_traits, &scores, MAX_RETIRED_TRAITS);
        }
    }
}

fn add(a: Totals, b: Totals) -> Totals {
    Totals {
        responses: a.responses.saturating_add(b.responses),
        breaches: a.breaches.saturating_add(b.breaches),
        blocked: a.blocked.saturating_add(b.blocked),
        unguarded: a.unguarded.saturating_add(b.unguarded),
        incoherent: a.incoherent.saturating_add(b.incoherent),
    }
}

/// Keeps the list in order of policy and vector.
fn merge_into(list: &mut Vec<TraitScores>, scores: &TraitScores, most: usize) {
    let key = |entry: &TraitScores| (entry.policy.clone(), entry.vector.clone());
    match list.binary_search_by(|entry| key(entry).cmp(&key(scores))) {
        Ok(index) => list[index] = merge(&list[index], scores),
        Err(index) if list.len() < most => list.insert(index, scores.clone()),
        Err(_) => {}
    }
}

/// Two samples as one: counts add up, mean and squared deviations by Chan, Golub and LeVeque
/// (1979).
#[allow(clippy::cast_precision_loss)] // counts of responses are far below 2^53
fn merge(a: &TraitScores, b: &TraitScores) -> TraitScores {
    let (n, m) = (a.scored as f64, b.scored as f64);
    let (mean, squares) = match (a.mean.filter(|_| a.scored > 0), b.mean.filter(|_| b.scored > 0)) {
        (Some(x), Some(y)) => {
            let delta = y - x;
            let squares = a.sum_squared_deviations
                + b.sum_squared_deviations
                + delta * delta * n * m / (n + m);
            (Some(x + delta * m / (n + m)), squares)
        }
        (Some(x), None) => (Some(x), a.sum_squared_deviations),
        (None, y) => (y, b.sum_squared_deviations),
    };
    let latest = if at(b) > at(a) { b } else { a };
    TraitScores {
        policy: a.policy.clone(),
        vector: a.vector.clone(),
        // A live pod is merged into those that are gone, so `b` is the newer where no breach tells.
        action: if latest.last_breach.is_some() { latest.action } else { b.action },
        scored: a.scored.saturating_add(b.scored),
        breaches: a.breaches.saturating_add(b.breaches),
        mean,
        sum_squared_deviations: squares,
        max: match (a.max, b.max) {
            (Some(x), Some(y)) => Some(x.max(y)),
            (x, y) => x.or(y),
        },
        last_breach: latest.last_breach.clone(),
        drift: merge_drift(a, b),
        sample: merge_samples(a.sample.as_ref(), b.sample.as_ref()),
    }
}

/// Samples of one thing are one sample; of two, the newer, `b`, counts.
fn merge_samples(a: Option<&api::Sample>, b: Option<&api::Sample>) -> Option<api::Sample> {
    let (Some(x), Some(y)) = (a, b) else { return b.or(a).cloned() };
    if x.basis != y.basis {
        return Some(y.clone());
    }
    let mut merged = Sample::from(y.clone());
    merged.merge(&x.clone().into());
    merged.sketch = merged.sketch.rounded();
    Some(merged.into())
}

fn without_sample(scores: &TraitScores) -> TraitScores {
    TraitScores { sample: None, ..scores.clone() }
}

/// The shift is a mean, weighted by responses; of the rest the most alarming counts. A sidecar that
/// is gone drifts no more.
#[allow(clippy::cast_precision_loss)] // counts of responses are far below 2^53
fn merge_drift(a: &TraitScores, b: &TraitScores) -> Option<DriftCharts> {
    let (Some(x), Some(y)) = (a.drift, b.drift) else { return a.drift.or(b.drift) };
    let (n, m) = (a.scored as f64, b.scored as f64);
    Some(DriftCharts {
        shift: short(if n + m > 0.0 { (n * x.shift + m * y.shift) / (n + m) } else { 0.0 }),
        up: x.up.max(y.up),
        down: x.down.max(y.down),
        detected: x.detected || y.detected,
    })
}

fn drifts(scores: &TraitScores) -> bool {
    scores.drift.is_some_and(|charts| charts.detected)
}

fn at(scores: &TraitScores) -> Option<Timestamp> {
    scores.last_breach.as_ref().map(|breach| breach.at.0)
}

fn breaches(before: Option<&PodCounts>, after: &PodCounts) -> Vec<NewBreach> {
    let known = before.filter(|before| before.instance == after.instance);
    let new = after.traits.iter().filter_map(|scores| {
        let breach = scores.last_breach.as_ref()?;
        let before = known
            .and_then(|known| {
                known.traits.iter().find(|t| t.policy == scores.policy && t.vector == scores.vector)
            })
            .map_or(0, |known| known.breaches);
        (scores.breaches > before).then(|| NewBreach {
            policy: scores.policy.clone(),
            vector: scores.vector.clone(),
            pod: after.name.clone(),
            action: scores.action,
            at: breach.clone(),
        })
    });
    new.collect()
}

fn counts(name: &str, uid: &str, report: &SidecarReport, now: Timestamp) -> PodCounts {
    let mut traits: Vec<_> = report.traits.iter().map(|summary| scores(summary, now)).collect();
    traits.sort_by(|a, b| (&a.policy, &a.vector).cmp(&(&b.policy, &b.vector)));
    PodCounts {
        name: name.to_owned(),
        uid: uid.to_owned(),
        instance: report.instance.clone(),
        sequence: report.sequence,
        model: report.model.name.clone(),
        policies: report.policies.iter().cloned().map(Into::into).collect(),
        failure: report
            .model
            .failure
            .clone()
            .filter(|_| report.model.state == PodState::Failed)
            .map(Into::into),
        config_error: report.config_error.clone(),
        state: report.model.state.into(),
        model_digest: report.model.digest.clone(),
        totals: report.totals.into(),
        traits,
    }
}

fn scores(summary: &TraitSummary, now: Timestamp) -> TraitScores {
    TraitScores {
        policy: summary.policy.clone(),
        vector: summary.vector.clone(),
        action: summary.action,
        scored: summary.scored,
        breaches: summary.breaches,
        mean: (summary.scored > 0).then(|| short(summary.mean)),
        sum_squared_deviations: short(summary.sum_squared_deviations),
        max: summary.max.map(short),
        last_breach: summary.last_breach.as_ref().map(|breach| LastBreach {
            // Seconds, as the API keeps them; a clock that is ahead must not keep a breach in force
            // for ever.
            at: Time(Timestamp::from_second(breach.at.min(now).as_second()).unwrap_or(now)),
            score: short(breach.score),
            threshold: short(breach.threshold),
            response_id: breach.response_id.clone(),
        }),
        drift: summary.drift.map(|charts| DriftCharts {
            shift: short(charts.shift),
            up: short(charts.up),
            down: short(charts.down),
            detected: charts.detected,
        }),
        sample: summary
            .sample
            .clone()
            .map(|sample| Sample { sketch: sample.sketch.rounded(), ..sample }.into()),
    }
}

/// Six decimals: reads back from JSON as it was written.
fn short(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
