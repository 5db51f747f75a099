//! Whether an answer is language at all. A judge reads for coherence; without one, the failures
//! that a small model has are told apart by counting: nothing said, or the same said over and over.

use std::collections::BTreeSet;

/// Why an answer is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoherence {
    /// Fewer than four tokens: no mean to speak of.
    TooShort,
    /// Most of its token triples are repeats.
    Loop,
}

/// Tokens below which an answer is too short.
const MIN_TOKENS: usize = 4;

/// Why the answer's tokens are no coherent answer; `None` if they may be.
#[must_use]
pub fn incoherence(tokens: &[u32]) -> Option<Incoherence> {
    if tokens.len() < MIN_TOKENS {
        return Some(Incoherence::TooShort);
    }
    let triples: Vec<&[u32]> = tokens.windows(3).collect();
    let distinct = triples.iter().collect::<BTreeSet<_>>().len();
    (distinct * 2 < triples.len()).then_some(Incoherence::Loop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_silence_are_told_apart_from_answers() {
        assert_eq!(incoherence(&[1, 2]), Some(Incoherence::TooShort));
        assert_eq!(
            incoherence(&[5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7]),
            Some(Incoherence::Loop)
        );
        assert_eq!(incoherence(&[5, 6, 7, 5, 6, 8, 9, 5, 10, 6, 11]), None);
    }
}
