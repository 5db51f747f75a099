//! The one look at the held-out questions.

use super::pairs::Sample;
use crate::Polarity;
use crate::calibration::round;
use crate::linear::{difference, project};
use crate::stats::{Control, Labelled, PairedDifferences, auroc, auroc_interval};
use crate::vector_file::{Interval, LayerMatrix, LayerValidation, Permuted};

/// What validation looks at.
#[derive(Clone, Copy, Debug)]
pub struct ValidationInput<'a> {
    /// The vectors.
    pub vectors: &'a LayerMatrix,
    /// The pairs that they were made from.
    pub pairs: &'a [(&'a Sample, &'a Sample)],
    /// Responses to held-out questions, as they were generated.
    pub held_out: &'a [Sample],
    /// The same responses, read under a neutral system prompt.
    pub rescored: &'a [Sample],
    /// Bootstrap resamples and permutations, each.
    pub draws: usize,
    /// Seed of both.
    pub seed: u64,
}

/// Separation at one layer with its 95% interval and its control. `None` without both labels, or
/// without the layer.
#[must_use]
pub fn validate(input: &ValidationInput<'_>, layer: u32) -> Option<LayerValidation> {
    let vector = input.vectors.layer(layer)?;
    let differences: Vec<Vec<f32>> = input
        .pairs
        .iter()
        .map(|(positive, negative)| {
            difference(&positive.activations[layer as usize], &negative.activations[layer as usize])
        })
        .collect();
    let control = |samples: &[Sample]| -> Option<Permuted> {
        let held_out: Vec<Control<'_>> = samples
            .iter()
            .map(|sample| Control {
                activation: &sample.activations[layer as usize],
                positive: sample.polarity == Polarity::Positive,
            })
            .collect();
        let permuted =
            PairedDifferences(&differences).control(&held_out, input.draws, input.seed)?;
        Some(Permuted { q95: round(permuted.q95), q99: round(permuted.q99) })
    };
    let scores = label(input.held_out, vector, layer);
    let interval = auroc_interval(&scores, 0.95, input.draws, input.seed)?;
    Some(LayerValidation {
        auroc: round(auroc(&scores)?),
        interval: Interval { low: round(interval.low), high: round(interval.high) },
        permuted: control(input.held_out)?,
        rescored: auroc(&label(input.rescored, vector, layer)).map(round),
        rescored_permuted: control(input.rescored),
        steering_effect: None,
    })
}

fn label(samples: &[Sample], vector: &[f32], layer: u32) -> Vec<Labelled> {
    samples
        .iter()
        .map(|sample| Labelled {
            score: project(&sample.activations[layer as usize], vector),
            positive: sample.polarity == Polarity::Positive,
            cluster: sample.key.question,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extraction::{SampleKey, mean_difference, pair_up};
    use crate::random::Stream;

    #[test]
    fn a_planted_direction_is_found_and_an_empty_layer_is_not() {
        let mut stream = Stream::new(4, 0);
        let mut draw = |questions: std::ops::Range<u32>| -> Vec<Sample> {
            questions
                .flat_map(|question| Polarity::BOTH.map(|polarity| (question, polarity)))
                .map(|(question, polarity)| {
                    let mut row = |shift: f64| {
                        (0..64)
                            .map(|i| (stream.normal() + if i == 3 { shift } else { 0.0 }) as f32)
                            .collect()
                    };
                    let shift = if polarity == Polarity::Positive { 3.0 } else { 0.0 };
                    let activations = vec![row(0.0), row(shift)];
                    Sample {
                        key: SampleKey { question, pair: 0, rollout: 0 },
                        polarity,
                        activations,
                    }
                })
                .collect()
        };
        let (extract, held_out) = (draw(0..60), draw(100..160));
        let pairs = pair_up(&extract);
        let vectors = mean_difference(&pairs).unwrap();
        let input = ValidationInput {
            vectors: &vectors,
            pairs: &pairs,
            held_out: &held_out,
            rescored: &[],
            draws: 400,
            seed: 1,
        };
        let planted = validate(&input, 1).unwrap();
        assert!(planted.auroc > 0.95 && planted.auroc > planted.permuted.q99, "{planted:?}");
        assert!(planted.interval.low < planted.auroc && planted.interval.high >= planted.auroc);
        assert_eq!((planted.rescored, planted.rescored_permuted), (None, None));
        let empty = validate(&input, 0).unwrap();
        assert!(empty.auroc < empty.permuted.q99, "{empty:?}");
        assert!(validate(&input, 2).is_none());
    }
}
