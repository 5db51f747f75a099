//! Which responses a policy looks at, if it does not look at all.

use crate::plan::Plan;
use personaguard_terms::Sampling;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Picks, for each response, the policies of a plan that look at it.
#[derive(Debug, Default)]
pub struct PolicySampler {
    /// Responses so far.
    responses: AtomicU64,
}

impl PolicySampler {
    /// For the next response, whether each policy of the plan looks at it. Fractions are drawn by
    /// chance, so that nobody can tell which response it will be.
    #[must_use]
    pub fn sample(&self, plan: &Plan) -> Arc<[bool]> {
        let number = self.responses.fetch_add(1, Ordering::Relaxed);
        plan.policies
            .iter()
            .map(|policy| policy.sampling.is_none_or(|s| is_taken(s, number, rand::random())))
            .collect()
    }
}

/// Whether a response is taken, by its number (from 0) and a number drawn from [0, 1).
fn is_taken(sampling: Sampling, number: u64, drawn: f64) -> bool {
    let by_number =
        sampling.every.is_some_and(|every| number.is_multiple_of(u64::from(every.max(1))));
    by_number || sampling.fraction.is_some_and(|fraction| drawn < fraction)
}

#[cfg(test)]
mod tests;
