//! Samples for the tests of this folder.

use super::pairs::{Sample, SampleKey};
use crate::random::RandomStream;
use crate::trait_spec::Polarity;

/// A positive and a negative sample for each of 12 questions, of three layers beside the embedding
/// output: noise, with the signal added to the first dimension of the positives' layers.
pub(super) fn samples(signal: f32) -> Vec<Sample> {
    let mut stream = RandomStream::new(2, 0);
    let mut samples = Vec::new();
    for question in 0..12 {
        for polarity in Polarity::BOTH {
            let mut row = |shift: f32| {
                (0..64).map(|i| stream.normal() as f32 + if i == 0 { shift } else { 0.0 }).collect()
            };
            let shift = if polarity == Polarity::Positive { signal } else { 0.0 };
            let key = SampleKey { question, contrast: 0, rollout: 0 };
            let activations = vec![row(0.0), row(shift), row(shift), row(shift)];
            samples.push(Sample { key, polarity, activations });
        }
    }
    samples
}
