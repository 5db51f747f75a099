//! What a judge says of an answer: numbers from 0 to 100.

use crate::Polarity;

/// Probability that must lie on numbers for an answer of the judge to count.
const LEAST_MASS: f64 = 0.25;
/// From which score on an answer shows the trait, or is coherent.
const SHOWS: f64 = 50.0;

/// A judge's view of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// How much it shows the trait, 0 to 100.
    pub shows: f64,
    /// How coherent it is, 0 to 100.
    pub coherence: f64,
}

impl Verdict {
    /// Whether an answer that was asked for with this polarity may go into a vector, as in the
    /// paper: it shows the trait or does not, as asked, and is coherent.
    #[must_use]
    pub fn confirms(&self, polarity: Polarity) -> bool {
        self.coherence >= SHOWS && (self.shows >= SHOWS) == (polarity == Polarity::Positive)
    }
}

/// The score that a judge gives, 0 to 100: the mean of the whole numbers from 0 to 100 among the
/// alternatives to its first token, weighted by their probabilities, given as natural logarithms.
/// `None` where numbers hold less than a quarter of the probability.
#[must_use]
pub fn expected_score(alternatives: &[(String, f64)]) -> Option<f64> {
    let numbers = alternatives.iter().filter_map(|(text, logprob)| {
        let number: u8 = text.trim().parse().ok()?;
        (number <= 100 && *logprob <= 0.0).then(|| (f64::from(number), logprob.exp()))
    });
    let (sum, mass) =
        numbers.fold((0.0, 0.0), |(sum, mass), (number, p)| (sum + number * p, mass + p));
    (mass >= LEAST_MASS).then(|| sum / mass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternatives(of: &[(&str, f64)]) -> Vec<(String, f64)> {
        of.iter().map(|(text, p)| ((*text).to_owned(), p.ln())).collect()
    }

    #[test]
    fn numbers_are_weighed_and_words_are_not() {
        let score = expected_score(&alternatives(&[
            ("80", 0.5),
            (" 90", 0.25),
            ("The", 0.2),
            ("300", 0.05),
        ]))
        .unwrap();
        assert!((score - 250.0 / 3.0).abs() < 1e-9, "{score}");
        assert_eq!(expected_score(&alternatives(&[("80", 0.2), ("I", 0.8)])), None);
        assert_eq!(expected_score(&[("80".to_owned(), f64::NAN), ("7".to_owned(), 3.0)]), None);
    }

    #[test]
    fn an_answer_goes_in_where_it_is_as_asked_and_coherent() {
        let verdict = |shows, coherence| Verdict { shows, coherence };
        assert!(
            verdict(50.0, 50.0).confirms(Polarity::Positive)
                && !verdict(50.0, 50.0).confirms(Polarity::Negative)
        );
        assert!(
            verdict(49.9, 90.0).confirms(Polarity::Negative)
                && !verdict(49.9, 90.0).confirms(Polarity::Positive)
        );
        assert!(!verdict(90.0, 49.0).confirms(Polarity::Positive));
    }
}
