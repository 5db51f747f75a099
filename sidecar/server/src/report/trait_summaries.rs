//! What is kept of each trait of each policy.

use personaguard_guard::{Plan, Rule};
use personaguard_terms::{ActionKind, Mode, Score};
use personaguard_wire::{Sample, TraitSummary};

/// Traits that are kept, over all policies that ever were in force. Beyond it, the one unused for
/// longest goes, so that a report stays far below its limit in bytes.
const MAX_TRAITS: usize = 256;

/// Summaries of traits, the one unused for longest first.
#[derive(Debug, Default)]
pub(super) struct TraitSummaries(Vec<TraitSummary>);

impl TraitSummaries {
    /// The summary of a rule's trait, from now on the last one used.
    pub(super) fn of(&mut self, plan: &Plan, rule: &Rule) -> &mut TraitSummary {
        let (policy, vector) = (&plan.policies[rule.policy].name, &plan.vectors[rule.vector].name);
        let mode = plan.policies[rule.policy].mode;
        let summary = self.get(policy, vector, rule.declared_action, mode);
        summary.score = rule.score;
        summary
    }

    fn get(
        &mut self,
        policy: &str,
        vector: &str,
        action: ActionKind,
        mode: Mode,
    ) -> &mut TraitSummary {
        let known = self.0.iter().position(|t| t.policy == policy && t.vector == vector);
        let mut summary = match known {
            Some(index) => self.0.remove(index),
            None => {
                if self.0.len() >= MAX_TRAITS {
                    self.0.remove(0);
                }
                empty(policy, vector, action, mode)
            }
        };
        (summary.action, summary.mode) = (action, mode);
        let last = self.0.len();
        self.0.push(summary);
        &mut self.0[last]
    }

    /// Takes the samples out of all summaries.
    pub(super) fn take_samples(&mut self) -> Vec<Sample> {
        self.0.iter_mut().filter_map(|summary| summary.sample.take()).collect()
    }

    /// Copies, sorted by policy and vector.
    pub(super) fn sorted(&self) -> Vec<TraitSummary> {
        let mut summaries = self.0.clone();
        summaries.sort_by(|a, b| (&a.policy, &a.vector).cmp(&(&b.policy, &b.vector)));
        summaries
    }
}

fn empty(policy: &str, vector: &str, action: ActionKind, mode: Mode) -> TraitSummary {
    TraitSummary {
        policy: policy.to_owned(),
        vector: vector.to_owned(),
        score: Score::default(),
        action,
        mode,
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

/// Adds a score. Welford's update: mean and sum of squared deviations in one pass.
#[allow(clippy::cast_precision_loss, reason = "counts of responses are far below 2^52")]
pub(super) fn observe(summary: &mut TraitSummary, score: f64) {
    summary.scored += 1;
    let before = score - summary.mean;
    summary.mean += before / summary.scored as f64;
    summary.sum_squared_deviations += before * (score - summary.mean);
    summary.max = Some(summary.max.map_or(score, |max| max.max(score)));
}

#[cfg(test)]
mod tests;
