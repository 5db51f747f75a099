//! Whether an answer is coherent text.
//!
//! A judge rates coherence. Without one, the usual failures of small models are found by counting:
//! answers that say nothing, and answers that say the same thing over and over.

use std::collections::BTreeSet;

/// Why an answer is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoherence {
    /// Fewer than four tokens, too few for a mean activation.
    TooShort,
    /// More than half of its token trigrams are repeats.
    Repetitive,
}

/// Number of tokens below which an answer is too short.
const MIN_TOKENS: usize = 4;

/// Why an answer is incoherent, judged by its tokens; `None` if it may be coherent.
#[must_use]
pub fn incoherence(tokens: &[u32]) -> Option<Incoherence> {
    if tokens.len() < MIN_TOKENS {
        return Some(Incoherence::TooShort);
    }
    let trigrams: Vec<&[u32]> = tokens.windows(3).collect();
    let distinct = trigrams.iter().collect::<BTreeSet<_>>().len();
    (distinct * 2 < trigrams.len()).then_some(Incoherence::Repetitive)
}

#[cfg(test)]
mod tests;
