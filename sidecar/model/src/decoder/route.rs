//! Which experts of a mixture a token goes through.

use crate::config::Experts;

/// The experts that a router rates highest, in the order of their numbers, with their weights: the
/// softmax of the scores. The order does not depend on what else is in the batch.
pub(super) fn route(scores: &[f32], experts: &Experts) -> Vec<(usize, f32)> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let mut chosen: Vec<usize> = (0..scores.len()).collect();
    chosen.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    chosen.truncate(experts.used);
    chosen.sort_unstable();
    let all: f32 = powers.iter().sum();
    // A score that is no number makes every weight such: nothing may hide it.
    let sum: f32 = match experts.is_normalized && all.is_finite() {
        true => chosen.iter().map(|&expert| powers[expert]).sum(),
        false => all,
    };
    chosen.into_iter().map(|expert| (expert, powers[expert] / sum)).collect()
}

/// σ(x) = 1 / (1 + e^(−x)): the weight of the layer that every token goes through.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests;
