//! Responses in matched pairs: same question, same instruction pair, opposite polarity.

use crate::Polarity;
use crate::vector_file::LayerMatrix;
use std::collections::BTreeMap;

/// What a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// Index of the question.
    pub question: u32,
    /// Index of the instruction pair.
    pub pair: u32,
    /// Index of the rollout.
    pub rollout: u32,
}

/// A response's mean activations.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it answers.
    pub key: SampleKey,
    /// What it was asked for.
    pub polarity: Polarity,
    /// Shape `[layers + 1][hidden]`.
    pub activations: Vec<Vec<f32>>,
}

/// A positive and its negative.
pub type Pair<'a> = (&'a Sample, &'a Sample);

/// Pairs of samples with equal keys, in order of their keys. A sample without its counterpart is
/// left out: its question or instruction would weigh on one side only.
#[must_use]
pub fn pair_up(samples: &[Sample]) -> Vec<Pair<'_>> {
    let mut by_key: BTreeMap<SampleKey, [Option<&Sample>; 2]> = BTreeMap::new();
    for sample in samples {
        by_key.entry(sample.key).or_default()[sample.polarity as usize] = Some(sample);
    }
    by_key.into_values().filter_map(|[positive, negative]| positive.zip(negative)).collect()
}

/// The persona vectors of pairs: at each layer the mean over positives minus the mean over
/// negatives, raw. `None` without pairs, or where their shapes differ.
#[must_use]
pub fn mean_difference(pairs: &[Pair<'_>]) -> Option<LayerMatrix> {
    let (first, _) = pairs.first()?;
    let shape: Vec<usize> = first.activations.iter().map(Vec::len).collect();
    let mut sums: Vec<Vec<f64>> = shape.iter().map(|hidden| vec![0.0; *hidden]).collect();
    for (positive, negative) in pairs {
        let same =
            |sample: &Sample| sample.activations.iter().map(Vec::len).eq(shape.iter().copied());
        if !same(positive) || !same(negative) {
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
mod tests {
    use super::*;

    fn sample(question: u32, polarity: Polarity, value: f32) -> Sample {
        let key = SampleKey { question, pair: 0, rollout: 0 };
        Sample { key, polarity, activations: vec![vec![value, 1.0], vec![-value, 2.0]] }
    }

    #[test]
    fn the_mean_of_positives_minus_the_mean_of_negatives() {
        let samples = [
            sample(0, Polarity::Positive, 5.0),
            sample(1, Polarity::Negative, 2.0),
            sample(0, Polarity::Negative, 1.0),
            sample(1, Polarity::Positive, 4.0),
        ];
        let vectors = mean_difference(&pair_up(&samples)).unwrap();
        assert_eq!(vectors.layer(0), Some([3.0, 0.0].as_slice()));
        assert_eq!(vectors.layer(1), Some([-3.0, 0.0].as_slice()));
    }

    #[test]
    fn a_sample_without_counterpart_is_left_out() {
        let samples = [
            sample(0, Polarity::Positive, 5.0),
            sample(0, Polarity::Negative, 1.0),
            sample(1, Polarity::Positive, 400.0),
        ];
        let pairs = pair_up(&samples);
        assert_eq!(pairs.len(), 1);
        assert_eq!(mean_difference(&pairs).unwrap().layer(0), Some([4.0, 0.0].as_slice()));
        assert!(mean_difference(&[]).is_none());
    }
}
