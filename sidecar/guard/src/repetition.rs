//! Repetition: the cheap sign that steering costs coherence.

use std::collections::HashSet;

/// Length in tokens of a sequence that may recur.
const SEQUENCE: usize = 4;
/// A response with fewer tokens says too little.
const MIN_TOKENS: usize = 16;

/// The share of a response's sequences of four tokens that occurred in it before, 0 to 1. `None`
/// for a short response.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a response has few tokens")]
pub fn repetition(tokens: &[u32]) -> Option<f64> {
    if tokens.len() < MIN_TOKENS {
        return None;
    }
    let sequences = tokens.windows(SEQUENCE);
    let (all, distinct) = (sequences.len(), sequences.collect::<HashSet<_>>().len());
    Some((all - distinct) as f64 / all as f64)
}

#[cfg(test)]
mod tests;
