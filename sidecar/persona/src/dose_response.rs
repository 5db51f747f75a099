//! Dose response: how the measures of a model's answers change with the steering coefficient.

use crate::stats::{mean, round, standard_error};
use serde::{Deserialize, Serialize};

/// The measures of one steered answer, both taken by the unsteered model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteeredAnswer {
    /// Mean projection over the answer's tokens, under a neutral system prompt.
    pub response_avg: f64,
    /// Log-likelihood ratio of the answer under a system prompt that asks for the trait against
    /// one that asks for its absence, in nats per token. It does not depend on the vector.
    pub likelihood_ratio: f64,
}

/// One point of a dose response: the mean measures of the answers under one steering coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SteeringPoint {
    /// Steering coefficient α.
    pub coefficient: f64,
    /// Mean of [`SteeredAnswer::response_avg`].
    pub response_avg: f64,
    /// Mean of [`SteeredAnswer::likelihood_ratio`], in nats per token.
    pub likelihood_ratio: f64,
    /// Number of answers.
    pub answers: u32,
}

impl SteeringPoint {
    /// Averages the measures of the answers under one coefficient.
    #[must_use]
    pub fn from_answers(coefficient: f64, answers: &[SteeredAnswer]) -> Self {
        let mean = |measure: fn(&SteeredAnswer) -> f64| {
            round(mean(&answers.iter().map(measure).collect::<Vec<_>>()))
        };
        Self {
            coefficient,
            response_avg: mean(|answer| answer.response_avg),
            likelihood_ratio: mean(|answer| answer.likelihood_ratio),
            answers: u32::try_from(answers.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether all numbers are finite.
    pub(crate) fn is_valid(&self) -> bool {
        self.coefficient.is_finite()
            && self.response_avg.is_finite()
            && self.likelihood_ratio.is_finite()
    }
}

/// Whether both measures rise at each step between points in ascending order of their coefficients.
/// `None` for fewer than two points.
#[must_use]
pub fn is_monotonic(points: &[SteeringPoint]) -> Option<bool> {
    let rises = |step: &[SteeringPoint]| {
        step[1].response_avg > step[0].response_avg
            && step[1].likelihood_ratio > step[0].likelihood_ratio
    };
    (points.len() > 1).then(|| points.windows(2).all(rises))
}

/// The smallest z-score of a dose response: over its steps and both measures, the mean change from
/// one coefficient to the next divided by its standard error over questions. A positive value means
/// that the dose response rises everywhere; above 1, that it does so by more than a standard error.
///
/// `answers` has shape `[coefficient][question]`, with the coefficients in ascending order. `None`
/// for fewer than two coefficients or two questions, or a measure that is no number.
#[must_use]
pub fn min_z(answers: &[Vec<SteeredAnswer>]) -> Option<f64> {
    let z = |step: &[Vec<SteeredAnswer>], measure: fn(&SteeredAnswer) -> f64| {
        let changes: Vec<f64> =
            step[0].iter().zip(&step[1]).map(|(from, to)| measure(to) - measure(from)).collect();
        (changes.len() > 1 && changes.iter().all(|change| change.is_finite()))
            .then(|| mean(&changes) / standard_error(&changes).max(f64::MIN_POSITIVE))
    };
    let scores = answers.windows(2).flat_map(|step| {
        [z(step, |answer| answer.response_avg), z(step, |answer| answer.likelihood_ratio)]
    });
    scores.collect::<Option<Vec<f64>>>()?.into_iter().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests;
