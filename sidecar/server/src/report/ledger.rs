//! Counts and scores since the process started.

use super::trait_summaries::TraitSummaries;
use super::{drift, trait_summaries};
use jiff::Timestamp;
use personaguard_guard::{Breach, Decision, Plan, Rule};
use personaguard_wire::Totals;
use personaguard_wire::{self as wire, MAX_SAMPLES, Sample, TraitSummary};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What is counted of a response that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFlags {
    /// A trait was past its threshold.
    pub breached: bool,
    /// A policy stopped it.
    pub blocked: bool,
    /// It left unscored.
    pub unguarded: bool,
}

/// Cumulative counts, and a notification for whatever the operator should know at once.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<Counts>,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    totals: Totals,
    traits: TraitSummaries,
}

impl Ledger {
    /// A rule of a response in progress was breached.
    pub fn count_breach(&self, plan: &Plan, breach: &Breach, response_id: &str) {
        let mut counts = self.lock();
        let summary = counts.traits.of(plan, &plan.rules[breach.rule]);
        summary.breaches += 1;
        summary.last_breach = Some(wire::Breach {
            at: Timestamp::now(),
            score: breach.score,
            threshold: breach.threshold,
            response_id: response_id.to_owned(),
        });
        drop(counts);
        self.notify();
    }

    /// A response ended, with the scores of this decision.
    pub fn count_response(&self, decision: &Decision, flags: ResponseFlags) {
        let plan = decision.plan();
        let mut counts = self.lock();
        counts.totals.responses += 1;
        counts.totals.breaches += u64::from(flags.breached);
        counts.totals.blocked += u64::from(flags.blocked);
        counts.totals.unguarded += u64::from(flags.unguarded);
        let mut drift_changed = false;
        for rule in &plan.rules {
            let Some(score) = decision.score(rule) else { continue };
            let summary = counts.traits.of(plan, rule);
            trait_summaries::observe(summary, score);
            if let Some(sample) = sample_for(summary, rule) {
                sample.add(score, decision.system_prompt());
            }
            drift_changed |= drift::observe(&mut summary.drift, score, rule.baseline);
        }
        drop(counts);
        if flags.breached || drift_changed {
            self.notify();
        }
    }

    /// A steered response was incoherent.
    pub fn count_incoherent(&self) {
        self.lock().totals.incoherent += 1;
    }

    /// Starts the counts of a plan's traits at zero, and the samples for their calibration. Samples
    /// that no rule asks for any more are dropped.
    pub fn apply(&self, plan: &Plan) {
        let mut counts = self.lock();
        let mut known = counts.traits.take_samples();
        let mut room = MAX_SAMPLES;
        for rule in &plan.rules {
            let summary = counts.traits.of(plan, rule);
            let Some(basis) = rule.calibrates.as_ref().filter(|_| room > 0) else { continue };
            room -= 1;
            let index = known.iter().position(|sample| sample.basis == *basis);
            let sample = index.map(|index| known.swap_remove(index));
            summary.sample = Some(sample.unwrap_or_else(|| Sample::new(basis.clone())));
        }
    }

    /// The counts as they are, traits sorted by policy and vector.
    #[must_use]
    pub fn read(&self) -> (Totals, Vec<TraitSummary>) {
        let counts = self.lock();
        (counts.totals, counts.traits.sorted())
    }

    /// Something happened that the operator should know at once.
    pub fn notify(&self) {
        self.urgent.notify_one();
    }

    /// Waits for [`Self::notify`]; returns at once if it was called since the last wait.
    pub async fn notified(&self) {
        self.urgent.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Each method leaves the counts valid after each statement.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sample that a rule's scores belong to. A response may have begun under an older plan.
fn sample_for<'a>(summary: &'a mut TraitSummary, rule: &Rule) -> Option<&'a mut Sample> {
    let basis = rule.calibrates.as_ref();
    summary.sample.as_mut().filter(|sample| Some(&sample.basis) == basis)
}
