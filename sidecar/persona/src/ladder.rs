//! The ladder of steering: what a model's answers become as its vector is added with rising
//! coefficients.

use crate::calibration::round;
use crate::stats::{mean, standard_deviation};
use serde::{Deserialize, Serialize};

/// What steering by one coefficient did to the text of answers, read by the unsteered model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rung {
    /// Coefficient α.
    pub coefficient: f64,
    /// Mean `response_avg` under a neutral system prompt.
    pub response_avg: f64,
    /// Mean log-likelihood ratio under trait-inducing against trait-suppressing system prompts,
    /// nats per token.
    pub likelihood_ratio: f64,
    /// Answers.
    pub answers: u32,
}

impl Rung {
    /// From the measures of each answer: `response_avg` and log-likelihood ratio.
    #[must_use]
    pub fn of(coefficient: f64, answers: &[(f64, f64)]) -> Self {
        let mean = |measure: fn(&(f64, f64)) -> f64| {
            round(mean(&answers.iter().map(measure).collect::<Vec<_>>()))
        };
        Self {
            coefficient,
            response_avg: mean(|answer| answer.0),
            likelihood_ratio: mean(|answer| answer.1),
            answers: u32::try_from(answers.len()).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.coefficient.is_finite()
            && self.response_avg.is_finite()
            && self.likelihood_ratio.is_finite()
    }
}

/// Whether both measures rise at each step. `None` for fewer than two rungs: nothing was tried.
#[must_use]
pub fn rises(rungs: &[Rung]) -> Option<bool> {
    let rises = |step: &[Rung]| {
        step[1].response_avg > step[0].response_avg
            && step[1].likelihood_ratio > step[0].likelihood_ratio
    };
    (rungs.len() > 1).then(|| rungs.windows(2).all(rises))
}

/// How surely a ladder rises: the least step of either measure, in its standard errors over
/// questions. `answers` holds, for each coefficient, the measures of the answers to the same
/// questions. `None` without two coefficients and two questions.
#[must_use]
pub fn surety(answers: &[Vec<(f64, f64)>]) -> Option<f64> {
    let step = |step: &[Vec<(f64, f64)>], measure: fn(&(f64, f64)) -> f64| {
        let moved: Vec<f64> =
            step[0].iter().zip(&step[1]).map(|(from, to)| measure(to) - measure(from)).collect();
        let error = standard_deviation(&moved) / (moved.len() as f64).sqrt();
        (moved.len() > 1).then(|| mean(&moved) / error.max(f64::MIN_POSITIVE))
    };
    let steps = answers
        .windows(2)
        .flat_map(|pair| [step(pair, |answer| answer.0), step(pair, |answer| answer.1)]);
    steps.collect::<Option<Vec<f64>>>()?.into_iter().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_as_sure_as_its_least_step() {
        let rung = |a: f64, b: f64, ratio: f64| vec![(a, ratio), (b, ratio)];
        // Steps of 1 and 3, of 2 and 2: means 2, standard error 1 of the first, and none of the
        // ratios'.
        let sure =
            surety(&[rung(0.0, 0.0, 0.0), rung(1.0, 3.0, 1.0), rung(3.0, 5.0, 2.0)]).unwrap();
        assert!((sure - 2.0).abs() < 1e-9, "{sure}");
        assert!(surety(&[rung(0.0, 0.0, 0.0), rung(1.0, 3.0, -1.0)]).unwrap() < 0.0);
        assert_eq!(surety(&[rung(0.0, 0.0, 0.0)]), None);
    }

    #[test]
    fn no_ladder_is_surer_than_one_of_its_measures() {
        let rung = |a: f64, b: f64, ratios: (f64, f64)| vec![(a, ratios.0), (b, ratios.1)];
        let both =
            [rung(0.0, 0.0, (0.0, 0.0)), rung(1.0, 3.0, (0.1, 0.5)), rung(3.0, 5.5, (0.2, 0.9))];
        let alone = |measure: fn(&(f64, f64)) -> f64| {
            let alone =
                both.iter().map(|rung| rung.iter().map(|it| (measure(it), measure(it))).collect());
            surety(&alone.collect::<Vec<_>>()).unwrap()
        };
        let (scores, ratios) = (alone(|answer| answer.0), alone(|answer| answer.1));
        assert_eq!(surety(&both).unwrap(), scores.min(ratios));
    }

    #[test]
    fn a_ladder_rises_only_if_both_measures_rise_at_each_step() {
        let rung = |at: f64, score: f64, ratio: f64| {
            Rung::of(at, &[(score - 1.0, ratio), (score + 1.0, ratio)])
        };
        let (low, middle, high) =
            (rung(-1.0, 1.0, -0.2), rung(0.0, 2.0, -0.1), rung(1.0, 3.0, 0.1));
        assert_eq!((middle.response_avg, middle.answers), (2.0, 2));
        assert_eq!(rises(&[low, middle, high]), Some(true));
        assert_eq!(rises(&[low, rung(0.0, 0.5, -0.1), high]), Some(false));
        assert_eq!(rises(&[low, rung(0.0, 2.0, 0.1), high]), Some(false));
        assert_eq!(rises(&[low]), None);
    }
}
