//! Responses in matched pairs: the same question and contrast, with opposite polarity.

use crate::layer_matrix::LayerMatrix;
use crate::trait_spec::Polarity;
use std::collections::BTreeMap;

/// Which request a response answers, apart from its polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// Index of the question in the trait's list.
    pub question: u32,
    /// Index of the contrast (instruction pair) in the trait's list.
    pub contrast: u32,
    /// Index of the rollout.
    pub rollout: u32,
}

/// The mean activations of one response.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which request it answers.
    pub key: SampleKey,
    /// Whether it was asked to show the trait.
    pub polarity: Polarity,
    /// Mean activation at each layer, shape `[layers + 1][hidden]`.
    pub activations: Vec<Vec<f32>>,
}

impl Sample {
    /// The activation at a layer, shape `[hidden]`; empty if there is no such layer.
    pub(crate) fn at(&self, layer: u32) -> &[f32] {
        self.activations.get(layer as usize).map_or(&[], Vec::as_slice)
    }
}

/// A positive sample and the negative one with the same key.
pub type Pair<'a> = (&'a Sample, &'a Sample);

/// Pairs up samples with equal keys, in ascending order of the keys. A sample without a counterpart
/// is left out, because its question or instruction would weigh on one side only.
#[must_use]
pub fn pair_up(samples: &[Sample]) -> Vec<Pair<'_>> {
    let mut by_key: BTreeMap<SampleKey, [Option<&Sample>; 2]> = BTreeMap::new();
    for sample in samples {
        by_key.entry(sample.key).or_default()[sample.polarity as usize] = Some(sample);
    }
    by_key.into_values().filter_map(|[positive, negative]| positive.zip(negative)).collect()
}

/// The persona vectors of the paper: at each layer, the mean activation of the positives minus that
/// of the negatives, not normalised. `None` without pairs, or if their shapes differ.
#[must_use]
pub fn mean_difference(pairs: &[Pair<'_>]) -> Option<LayerMatrix> {
    let (first, _) = pairs.first()?;
    let shape: Vec<usize> = first.activations.iter().map(Vec::len).collect();
    let mut sums: Vec<Vec<f64>> = shape.iter().map(|hidden| vec![0.0; *hidden]).collect();
    for (positive, negative) in pairs {
        let same_shape =
            |sample: &Sample| sample.activations.iter().map(Vec::len).eq(shape.iter().copied());
        if !same_shape(positive) || !same_shape(negative) {
            return None;
        }
        for ((sum, positive), negative) in
            sums.iter_mut().zip(&positive.activations).zip(&negative.activations)
        {
            for ((sum, positive), negative) in sum.iter_mut().zip(positive).zip(negative) {
                *sum += f64::from(*positive) - f64::from(*negative);
            }
        }
    }
    let count = pairs.len() as f64;
    let rows: Vec<Vec<f32>> = sums
        .into_iter()
        .map(|row| row.into_iter().map(|sum| (sum / count) as f32).collect())
        .collect();
    LayerMatrix::from_rows(&rows)
}

#[cfg(test)]
mod tests;
