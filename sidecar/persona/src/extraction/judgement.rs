//! A judge's ratings of an answer, 0 to 100.

use crate::trait_spec::Polarity;

/// How much of the probability must lie on numbers for the judge's reply to count.
const MIN_PROBABILITY: f64 = 0.25;
/// The rating from which on an answer shows the trait, or is coherent.
const THRESHOLD: f64 = 50.0;

/// A judge's ratings of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// How much the answer shows the trait, 0 to 100.
    pub trait_score: f64,
    /// How coherent it is, 0 to 100.
    pub coherence: f64,
}

impl Judgement {
    /// Whether an answer that was asked for with this polarity may go into a vector. As in the
    /// paper, it must be coherent, and must show the trait if and only if it was asked to.
    #[must_use]
    pub fn confirms(&self, polarity: Polarity) -> bool {
        self.trait_score.is_finite()
            && self.coherence >= THRESHOLD
            && (self.trait_score >= THRESHOLD) == (polarity == Polarity::Positive)
    }
}

/// The rating that a judge gives, 0 to 100, from the alternatives to its first token and the
/// natural logarithms of their probabilities: the probability-weighted mean of the integers from 0
/// to 100 among them, as in the paper. `None` if these hold less than a quarter of the probability.
#[must_use]
pub fn expected_score(alternatives: &[(String, f64)]) -> Option<f64> {
    let numbers = alternatives.iter().filter_map(|(text, logprob)| {
        let number: u8 = text.trim().parse().ok()?;
        (number <= 100 && *logprob <= 0.0).then(|| (f64::from(number), logprob.exp()))
    });
    let (sum, probability) =
        numbers.fold((0.0, 0.0), |(sum, total), (number, p)| (sum + number * p, total + p));
    (probability >= MIN_PROBABILITY).then(|| sum / probability)
}

#[cfg(test)]
mod tests;
