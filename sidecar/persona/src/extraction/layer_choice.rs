//! The order in which layers are preferred.

use super::cross_fit::Separation;
use crate::stats::{mean, standard_error};

/// A layer that may be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCandidate {
    /// The layer, 1-based.
    pub layer: u32,
    /// Effect of steering at the layer, one value for each question.
    pub steering_effects: Vec<f64>,
    /// Separation of the answers to the extraction questions as generated.
    pub generated: Separation,
    /// Their separation after rescoring them under a neutral system prompt.
    pub rescored: Separation,
}

impl LayerCandidate {
    /// How far the separation lies above its control: the smaller margin of the two; none at all
    /// where one of them is no number.
    #[must_use]
    pub fn margin(&self) -> f64 {
        let margins = [self.generated.margin(), self.rescored.margin()];
        match margins.iter().all(|margin| margin.is_finite()) {
            true => margins[0].min(margins[1]),
            false => f64::NEG_INFINITY,
        }
    }
}

/// Layers from the most to the least preferred.
///
/// Only candidates whose separation beats its control, both as generated and rescored, are
/// eligible; if none does, all are. The one with the largest mean effect of steering comes first.
/// Those within one standard error of it count as equal and are ordered by their margin over the
/// control. The others follow in descending order of their mean effect. Candidates with fewer than
/// two questions, or with an effect that is no number, are left out.
#[must_use]
pub fn rank_layers(candidates: &[LayerCandidate]) -> Vec<u32> {
    let beating: Vec<&LayerCandidate> =
        candidates.iter().filter(|candidate| candidate.margin() > 0.0).collect();
    let eligible = if beating.is_empty() { candidates.iter().collect() } else { beating };
    let effects: Vec<(&LayerCandidate, f64)> = eligible
        .into_iter()
        .filter(|candidate| candidate.steering_effects.len() > 1)
        .map(|candidate| (candidate, mean(&candidate.steering_effects)))
        .filter(|(_, effect)| effect.is_finite())
        .collect();
    let Some((best, best_effect)) = effects.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()
    else {
        return Vec::new();
    };
    let tolerance = standard_error(&best.steering_effects);
    let (mut equal, mut behind): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|(_, effect)| *effect >= best_effect - tolerance);
    equal.sort_by(|a, b| b.0.margin().total_cmp(&a.0.margin()));
    behind.sort_by(|a, b| b.1.total_cmp(&a.1));
    equal.into_iter().chain(behind).map(|(candidate, _)| candidate.layer).collect()
}

#[cfg(test)]
mod tests;
