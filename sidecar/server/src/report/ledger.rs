//! Counts and scores since the process started.

use jiff::Timestamp;
use personaguard_guard::{Breach, Decision, Plan};
use personaguard_persona::Calibration;
use personaguard_persona::drift::{ControlLimits, DriftDetector};
use personaguard_terms::Action;
use personaguard_wire::{
    self as wire, Calm, DriftCharts, MAX_SAMPLES, Sample, Totals, TraitSummary,
};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Traits whose counts are kept, over all policies that ever were in force; past it the longest
/// unused one goes, so that a report stays far below [`wire::MAX_REPORT_BYTES`].
const MAX_TRAITS: usize = 256;

/// How a response ended, as far as the counts are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// At least one trait was past its threshold.
    pub breached: bool,
    /// It was stopped.
    pub blocked: bool,
    /// It left unscored.
    pub unguarded: bool,
}

/// Cumulative counts, and a bell that rings when there is something to tell.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<Counts>,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    totals: Totals,
    /// Longest unused first.
    traits: Vec<TraitSummary>,
    revision: u64,
}

impl Ledger {
    /// A rule of a response in progress was breached: told to the operator at once.
    pub fn breach(&self, plan: &Plan, breach: &Breach, response_id: &str) {
        let rule = &plan.rules[breach.rule];
        let mut counts = self.lock();
        let summary = counts.summary(
            &plan.policies[rule.policy].name,
            &plan.taps[rule.tap].vector,
            rule.declared,
        );
        summary.breaches += 1;
        summary.last_breach = Some(wire::Breach {
            at: Timestamp::now(),
            score: breach.score,
            threshold: breach.threshold,
            response_id: response_id.to_owned(),
        });
        drop(counts);
        self.ring();
    }

    /// A response ended, with these scores.
    pub fn ended(&self, decision: &Decision, ended: Ended) {
        let plan = decision.plan();
        let mut counts = self.lock();
        counts.revision += 1;
        counts.totals.responses += 1;
        counts.totals.breaches += u64::from(ended.breached);
        counts.totals.blocked += u64::from(ended.blocked);
        counts.totals.unguarded += u64::from(ended.unguarded);
        let mut moved = false;
        for rule in &plan.rules {
            let Some(score) = decision.score(rule) else { continue };
            let tap = &plan.taps[rule.tap];
            let summary =
                counts.summary(&plan.policies[rule.policy].name, &tap.vector, rule.declared);
            observe(summary, score);
            if let Some(sample) = summary
                .sample
                .as_mut()
                .filter(|sample| Some(&sample.basis) == rule.calibrates.as_ref())
            {
                sample.add(score, decision.system_prompt());
            }
            moved |= drift(summary, score, rule.calm);
        }
        drop(counts);
        if ended.breached || moved {
            self.ring();
        }
    }

    /// A steered response was incoherent.
    pub fn incoherent(&self) {
        let mut counts = self.lock();
        counts.revision += 1;
        counts.totals.incoherent += 1;
    }

    /// Makes the counts of a plan's traits start at zero, and the samples that they are calibrated
    /// on. What is calibrated on no longer, or is another thing now, is forgotten.
    pub fn apply(&self, plan: &Plan) {
        let mut counts = self.lock();
        counts.revision += 1;
        let mut samples: Vec<_> =
            counts.traits.iter_mut().filter_map(|summary| summary.sample.take()).collect();
        let mut room = MAX_SAMPLES;
        for rule in &plan.rules {
            let summary = counts.summary(
                &plan.policies[rule.policy].name,
                &plan.taps[rule.tap].vector,
                rule.declared,
            );
            let Some(basis) = rule.calibrates.as_ref().filter(|_| room > 0) else { continue };
            room -= 1;
            let known = samples
                .iter()
                .position(|sample| sample.basis == *basis)
                .map(|index| samples.swap_remove(index));
            summary.sample = Some(known.unwrap_or_else(|| Sample::new(basis.clone())));
        }
    }

    /// The counts as they are, and a number that changes with them.
    #[must_use]
    pub fn read(&self) -> (Totals, Vec<TraitSummary>, u64) {
        let counts = self.lock();
        let mut traits = counts.traits.clone();
        traits.sort_by(|a, b| (&a.policy, &a.vector).cmp(&(&b.policy, &b.vector)));
        (counts.totals, traits, counts.revision)
    }

    /// Something happened that the operator should know at once.
    pub fn ring(&self) {
        self.urgent.notify_one();
    }

    /// Waits for [`Self::ring`]; returns at once when it rang since the last wait.
    pub async fn rung(&self) {
        self.urgent.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Each method leaves the counts valid after each statement.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn summary(&mut self, policy: &str, vector: &str, action: Action) -> &mut TraitSummary {
        self.revision += 1;
        let position = self.traits.iter().position(|t| t.policy == policy && t.vector == vector);
        let mut summary = match position {
            Some(position) => self.traits.remove(position),
            None => {
                if self.traits.len() >= MAX_TRAITS {
                    self.traits.remove(0);
                }
                TraitSummary {
                    policy: policy.to_owned(),
                    vector: vector.to_owned(),
                    action,
                    scored: 0,
                    breaches: 0,
                    mean: 0.0,
                    sum_squared_deviations: 0.0,
                    max: None,
                    last_breach: None,
                    drift: None,
                    sample: None,
                }
            }
        };
        summary.action = action;
        let last = self.traits.len();
        self.traits.push(summary);
        &mut self.traits[last]
    }
}

/// Welford's update: mean and sum of squared deviations in one pass.
#[allow(clippy::cast_precision_loss)]
fn observe(summary: &mut TraitSummary, score: f64) {
    summary.scored += 1;
    let before = score - summary.mean;
    summary.mean += before / summary.scored as f64;
    summary.sum_squared_deviations += before * (score - summary.mean);
    summary.max = Some(summary.max.map_or(score, |max| max.max(score)));
}

/// Calm responses between two false alarms of one trait's charts, on average.
const CALM_RUN: f64 = 10_000.0;

/// Takes a score into the charts; says whether drift was detected, or is over.
fn drift(summary: &mut TraitSummary, score: f64, calm: Option<Calm>) -> bool {
    static LIMITS: LazyLock<ControlLimits> =
        LazyLock::new(|| ControlLimits::for_run_length(CALM_RUN));
    let before = summary.drift.unwrap_or_default();
    summary.drift = calm.map(|calm| {
        let calibration = Calibration {
            count: 0,
            mean: calm.mean,
            standard_deviation: calm.standard_deviation,
            sorted: Vec::new(),
        };
        let charts = DriftDetector {
            up: before.up,
            down: before.down,
            shift: before.shift,
            detected: before.detected,
        };
        let DriftDetector { up, down, shift, detected } =
            charts.after(1, score, &calibration, *LIMITS);
        DriftCharts { shift, up, down, detected }
    });
    summary.drift.unwrap_or_default().detected != before.detected
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_pass_statistics_equal_two_pass_ones(scores in prop::collection::vec(-100.0..100.0_f64, 1..200)) {
            let mut counts = Counts::default();
            for score in &scores {
                observe(counts.summary("p", "v", Action::Alert), *score);
            }
            let summary = counts.summary("p", "v", Action::Alert);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
            prop_assert!((summary.mean - mean).abs() < 1e-9);
            prop_assert!((summary.sum_squared_deviations - squares).abs() < 1e-6);
            prop_assert_eq!(summary.max, scores.iter().copied().reduce(f64::max));
            prop_assert_eq!(summary.scored, scores.len() as u64);
        }
    }

    #[test]
    fn drift_is_told_when_it_comes_and_when_it_goes_and_needs_a_calibration() {
        let mut counts = Counts::default();
        let calm = Some(Calm { mean: -4.0, standard_deviation: 2.0 });
        let summary = counts.summary("p", "v", Action::Alert);
        assert!((0..200).all(|i| !drift(summary, if i % 2 == 0 { -3.0 } else { -5.0 }, calm)));
        assert!(!summary.drift.unwrap().detected);
        assert!((0..60).any(|_| drift(summary, -1.0, calm)), "1.5 standard deviations above");
        let charts = summary.drift.unwrap();
        assert!(charts.detected && charts.shift > 0.5 && charts.up > charts.down, "{charts:?}");
        assert!((0..200).any(|_| drift(summary, -4.0, calm)), "it is over");
        assert!(!summary.drift.unwrap().detected);
        drift(summary, 100.0, None);
        assert_eq!(summary.drift, None);
    }

    #[test]
    fn the_longest_unused_trait_goes_first() {
        let mut counts = Counts::default();
        for vector in 0..MAX_TRAITS {
            counts.summary("p", &vector.to_string(), Action::Audit);
        }
        counts.summary("p", "0", Action::Audit).scored = 7;
        counts.summary("p", "new", Action::Audit);
        assert_eq!(counts.traits.len(), MAX_TRAITS);
        assert!(counts.traits.iter().all(|t| t.vector != "1"));
        assert_eq!(counts.summary("p", "0", Action::Audit).scored, 7);
    }
}
