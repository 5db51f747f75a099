//! The projection difference of each sample.

use super::ranking::ScreenedSample;
use crate::stats::{mean, standard_deviation};

/// Weight of the likelihood ratio relative to the projection difference, when both are in standard
/// deviations over the data set.
const LIKELIHOOD_WEIGHT: f64 = 0.25;

/// The scores of a sample's answer and of its reference, on a
/// [`ProjectionScale`](super::ProjectionScale).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleScores {
    /// Line of the data set, 1-based.
    pub line: u64,
    /// Score of the sample's answer.
    pub answer: f64,
    /// Score of the model's own answer, or of what stands in for it.
    pub reference: f64,
    /// How much likelier the sample's answer is under system prompts that ask for the trait than
    /// under opposite ones, in nats; `None` if it was not measured.
    pub likelihood_ratio: Option<f64>,
}

impl SampleScores {
    /// Whether every score is a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let scores = [Some(self.answer), Some(self.reference), self.likelihood_ratio];
        scores.into_iter().flatten().all(f64::is_finite)
    }
}

/// How much of the reference is subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceWeight {
    /// All of it, as in the paper.
    Full,
    /// As far as it predicts the answer's score over the data set: the slope of the least-squares
    /// line, clamped to 0 to 1.
    Fitted,
}

impl ReferenceWeight {
    /// The factor of the reference, 0 to 1.
    #[must_use]
    pub fn factor(self, samples: &[SampleScores]) -> f64 {
        let mean_of =
            |score: fn(&SampleScores) -> f64| mean(&samples.iter().map(score).collect::<Vec<_>>());
        let answer = mean_of(|sample| sample.answer);
        let reference = mean_of(|sample| sample.reference);
        let covariation = samples
            .iter()
            .map(|sample| (sample.answer - answer) * (sample.reference - reference))
            .sum::<f64>();
        let variation =
            samples.iter().map(|sample| (sample.reference - reference).powi(2)).sum::<f64>();
        match self {
            Self::Full => 1.0,
            Self::Fitted if variation > 0.0 => (covariation / variation).clamp(0.0, 1.0),
            Self::Fitted => 0.0,
        }
    }

    /// The difference of each sample: answer minus weighted reference, plus what the likelihood
    /// ratio contributes if all samples have one.
    #[must_use]
    pub fn differences(self, samples: &[SampleScores]) -> Vec<ScreenedSample> {
        let factor = self.factor(samples);
        let differences: Vec<f64> =
            samples.iter().map(|sample| sample.answer - factor * sample.reference).collect();
        let contributions = likelihood_contributions(samples, &differences)
            .unwrap_or_else(|| vec![0.0; samples.len()]);
        let terms = samples.iter().zip(differences).zip(contributions);
        // What is no number must not become one by being left out.
        let screened = terms.map(|((sample, difference), contribution)| ScreenedSample {
            line: sample.line,
            difference: if sample.is_finite() { difference + contribution } else { f64::NAN },
        });
        screened.collect()
    }
}

/// What the likelihood ratio adds to each difference, in units of the differences. `None` if a
/// sample has none, or if it does not vary.
fn likelihood_contributions(samples: &[SampleScores], differences: &[f64]) -> Option<Vec<f64>> {
    let ratios: Vec<f64> =
        samples.iter().map(|sample| sample.likelihood_ratio).collect::<Option<_>>()?;
    let spread = if ratios.len() > 1 { standard_deviation(&ratios) } else { 0.0 };
    let (centre, unit) =
        (mean(&ratios), LIKELIHOOD_WEIGHT * standard_deviation(differences) / spread);
    (spread > 0.0).then(|| ratios.iter().map(|ratio| unit * (ratio - centre)).collect())
}

#[cfg(test)]
mod tests;
