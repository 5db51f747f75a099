//! Which responses a policy looks at, where it does not look at all.

use super::Plan;
use personaguard_terms::Sampling;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Draws, for each response, the policies of a plan that look at it.
#[derive(Debug, Default)]
pub struct Draw {
    /// Responses so far.
    count: AtomicU64,
}

impl Draw {
    /// For the next response: whether each policy of the plan looks at it. By chance for a
    /// fraction, so that nobody can tell which response it will be.
    #[must_use]
    pub fn next(&self, plan: &Plan) -> Arc<[bool]> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        plan.policies
            .iter()
            .map(|policy| policy.sampling.is_none_or(|s| takes(s, count, rand::random())))
            .collect()
    }
}

/// Whether a response is taken, by how many there were before it and a number drawn from 0 to 1.
fn takes(sampling: Sampling, before: u64, drawn: f64) -> bool {
    let by_number =
        sampling.every.is_some_and(|every| before.is_multiple_of(u64::from(every.max(1))));
    by_number || sampling.fraction.is_some_and(|fraction| drawn < fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_every_nth_response_is_taken() {
        let every = Sampling { every: Some(3), fraction: None };
        assert_eq!(
            (0..7).map(|before| takes(every, before, 0.0)).collect::<Vec<_>>(),
            [true, false, false, true, false, false, true]
        );
    }

    #[test]
    fn a_fraction_is_taken_by_chance() {
        let tenth = Sampling { every: None, fraction: Some(0.1) };
        assert!(takes(tenth, 5, 0.05) && !takes(tenth, 0, 0.1));
        let all = Sampling { every: None, fraction: Some(1.0) };
        assert!(takes(all, 5, 0.999_999));
    }
}
