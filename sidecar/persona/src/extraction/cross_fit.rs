//! Cross-fitting: vectors from one half of the extraction questions, tried on the other half.
//!
//! The layer is chosen by this, so that the held-out questions are looked at only once, at the end.

use super::pairs::{Pair, mean_difference};
use crate::layer_matrix::LayerMatrix;
use crate::linear::{difference, dot};
use crate::random::RandomStream;
use crate::stats::{LabelledActivation, LabelledScore, PairedDifferences, PermutedControl, auroc};

/// Two sets of vectors, each made from one half of the questions.
#[derive(Clone, Debug)]
pub struct CrossFit {
    /// `folds[p]` was made without the questions whose index has parity `p`.
    folds: [LayerMatrix; 2],
}

impl CrossFit {
    /// Makes the vectors from extraction pairs. `None` if one half of the questions has no pairs.
    #[must_use]
    pub fn new(pairs: &[Pair<'_>]) -> Option<Self> {
        let without = |parity: u32| {
            let rest: Vec<_> = pairs
                .iter()
                .copied()
                .filter(|(sample, _)| sample.key.question % 2 != parity)
                .collect();
            mean_difference(&rest)
        };
        Some(Self { folds: [without(0)?, without(1)?] })
    }

    /// The vector at a layer that was made without a question, shape `[hidden]`. `None` if there is
    /// no such layer.
    #[must_use]
    pub fn vector_for(&self, question: u32, layer: u32) -> Option<&[f32]> {
        self.folds[(question % 2) as usize].layer(layer)
    }
}

/// How well answers are separated at one layer by vectors that were made without them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// AUROC of each half's answers on the other half's vector, mean of both. The halves are not
    /// pooled, because projections on two vectors have two origins.
    pub auroc: f64,
    /// The permuted-label control of the same halves.
    pub permuted: PermutedControl,
}

impl Separation {
    /// How far the AUROC lies above the 99% quantile of its control.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.auroc - self.permuted.q99
    }
}

/// The cross-fitted separation at a layer. Vectors are made from `pairs`. They are tried on
/// `scored`, which holds the answers of the same pairs in the same order: as generated, or rescored
/// under another system prompt. The control takes `draws` permutations. `None` if one half has no
/// pairs.
#[must_use]
pub fn separation(
    pairs: &[Pair<'_>],
    scored: &[Pair<'_>],
    layer: u32,
    draws: usize,
    seed: u64,
) -> Option<Separation> {
    let mut stream = RandomStream::new(seed, 0xC0F);
    let mut half = |parity: u32| {
        let differences: Vec<Vec<f32>> = pairs
            .iter()
            .filter(|(sample, _)| sample.key.question % 2 != parity)
            .map(|(positive, negative)| difference(positive.at(layer), negative.at(layer)))
            .collect();
        let answers: Vec<LabelledActivation<'_>> = scored
            .iter()
            .filter(|(sample, _)| sample.key.question % 2 == parity)
            .flat_map(|(positive, negative)| [(positive, true), (negative, false)])
            .map(|(sample, positive)| LabelledActivation { activation: sample.at(layer), positive })
            .collect();
        // The vector up to its norm, which does not affect a ranking.
        let zero = vec![0.0; differences.first()?.len()];
        let sum = differences.iter().fold(zero, |sum: Vec<f32>, difference| {
            sum.iter().zip(difference).map(|(sum, difference)| sum + difference).collect()
        });
        let scores: Vec<LabelledScore> = answers
            .iter()
            .map(|answer| LabelledScore {
                score: dot(answer.activation, &sum),
                positive: answer.positive,
                cluster: 0,
            })
            .collect();
        let permuted =
            PairedDifferences(&differences).permuted_aurocs(&answers, draws, &mut stream)?;
        Some((auroc(&scores)?, permuted))
    };
    let ((even, even_permuted), (odd, odd_permuted)) = (half(0)?, half(1)?);
    let permuted = even_permuted
        .iter()
        .zip(&odd_permuted)
        .map(|(even, odd)| f64::midpoint(*even, *odd))
        .collect();
    Some(Separation {
        auroc: f64::midpoint(even, odd),
        permuted: PermutedControl::from_aurocs(permuted)?,
    })
}

#[cfg(test)]
mod tests;
