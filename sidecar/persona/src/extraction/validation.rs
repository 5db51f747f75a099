//! The one look at the held-out questions.

use super::pairs::{Pair, Sample};
use crate::layer_matrix::LayerMatrix;
use crate::linear::{difference, project};
use crate::stats::{
    Interval, LabelledActivation, LabelledScore, PairedDifferences, PermutedControl, auroc,
    auroc_interval, round,
};
use crate::trait_spec::Polarity;
use crate::vector_file::LayerValidation;

/// What a vector is validated on.
#[derive(Clone, Copy, Debug)]
pub struct ValidationInput<'a> {
    /// The vectors.
    pub vectors: &'a LayerMatrix,
    /// The pairs that they were made from.
    pub pairs: &'a [Pair<'a>],
    /// Responses to held-out questions, read under the system prompts they were generated under.
    pub held_out: &'a [Sample],
    /// The same responses, rescored under a neutral system prompt. May be empty.
    pub rescored: &'a [Sample],
    /// Number of bootstrap resamples, and of permutations.
    pub draws: usize,
    /// Seed of both.
    pub seed: u64,
}

/// The separation at one layer, with its 95% interval and its control. `None` unless the held-out
/// responses have both labels, or if there is no such layer.
#[must_use]
pub fn validate_layer(input: &ValidationInput<'_>, layer: u32) -> Option<LayerValidation> {
    let vector = input.vectors.layer(layer)?;
    let differences: Vec<Vec<f32>> = input
        .pairs
        .iter()
        .map(|(positive, negative)| {
            difference(&positive.activations[layer as usize], &negative.activations[layer as usize])
        })
        .collect();
    let control = |samples: &[Sample]| -> Option<PermutedControl> {
        let held_out: Vec<LabelledActivation<'_>> = samples
            .iter()
            .map(|sample| LabelledActivation {
                activation: &sample.activations[layer as usize],
                positive: sample.polarity == Polarity::Positive,
            })
            .collect();
        let permuted =
            PairedDifferences(&differences).control(&held_out, input.draws, input.seed)?;
        Some(PermutedControl { q95: round(permuted.q95), q99: round(permuted.q99) })
    };
    let scores = scores(input.held_out, vector, layer);
    let interval = auroc_interval(&scores, 0.95, input.draws, input.seed)?;
    Some(LayerValidation {
        auroc: round(auroc(&scores)?),
        interval: Interval { low: round(interval.low), high: round(interval.high) },
        permuted: control(input.held_out)?,
        rescored: auroc(&self::scores(input.rescored, vector, layer)).map(round),
        rescored_permuted: control(input.rescored),
        steering_effect: None,
    })
}

/// Projections of samples on a vector, with their labels; clusters are questions.
fn scores(samples: &[Sample], vector: &[f32], layer: u32) -> Vec<LabelledScore> {
    samples
        .iter()
        .map(|sample| LabelledScore {
            score: project(&sample.activations[layer as usize], vector),
            positive: sample.polarity == Polarity::Positive,
            cluster: sample.key.question,
        })
        .collect()
}

#[cfg(test)]
mod tests;
