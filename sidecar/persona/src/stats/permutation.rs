//! The permuted-label control: the AUROC that vectors reach if they are made from the same
//! responses with meaningless labels. In a space where a few directions carry most of the variance,
//! it lies well above one half.

use super::roc::{LabelledScore, auroc};
use super::summary::quantile;
use crate::linear::dot;
use crate::random::RandomStream;
use serde::{Deserialize, Serialize};

/// Quantiles of the AUROC that vectors made from permuted labels reach on the same held-out
/// responses, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PermutedControl {
    /// 95% quantile.
    pub q95: f64,
    /// 99% quantile.
    pub q99: f64,
}

impl PermutedControl {
    /// Summarises the AUROCs of permuted vectors. `None` if there are none.
    pub(crate) fn from_aurocs(mut aurocs: Vec<f64>) -> Option<Self> {
        aurocs.sort_by(f64::total_cmp);
        (!aurocs.is_empty())
            .then(|| Self { q95: quantile(&aurocs, 0.95), q99: quantile(&aurocs, 0.99) })
    }
}

/// Differences positive − negative of the matched extraction pairs at one layer, each of shape
/// `[hidden]`.
///
/// If labels meant nothing, the two labels of a pair could as well be exchanged, which flips the
/// sign of its difference: labels are permuted within pairs. A permuted vector is the mean of the
/// differences after flipping the signs of a random half of them.
///
/// Exactly half are flipped, so that whatever all pairs have in common cancels. With independent
/// signs, a random share of the true direction would remain; and where the trait stands out
/// clearly, any share of it separates as well as the whole, so that even a perfect vector could not
/// beat its control.
#[derive(Clone, Copy, Debug)]
pub struct PairedDifferences<'a>(pub &'a [Vec<f32>]);

/// The activation of a held-out response, with its label.
#[derive(Clone, Copy, Debug)]
pub struct LabelledActivation<'a> {
    /// Mean activation at the layer, shape `[hidden]`.
    pub activation: &'a [f32],
    /// Whether the response was asked to show the trait.
    pub positive: bool,
}

impl PairedDifferences<'_> {
    /// The control on held-out responses, from `permutations` random draws. `None` if there are no
    /// differences, no permutations, or the held-out responses do not have both labels.
    #[must_use]
    pub fn control(
        &self,
        held_out: &[LabelledActivation<'_>],
        permutations: usize,
        seed: u64,
    ) -> Option<PermutedControl> {
        let mut stream = RandomStream::new(seed, 0x9E8);
        PermutedControl::from_aurocs(self.permuted_aurocs(held_out, permutations, &mut stream)?)
    }

    /// The held-out AUROC of each of `permutations` permuted vectors. `None` as in
    /// [`PairedDifferences::control`].
    #[must_use]
    pub(crate) fn permuted_aurocs(
        &self,
        held_out: &[LabelledActivation<'_>],
        permutations: usize,
        stream: &mut RandomStream,
    ) -> Option<Vec<f64>> {
        if self.0.is_empty() {
            return None;
        }
        // The projection on a signed sum is the signed sum of projections, so one table of dot
        // products serves every permutation. The vector's norm does not affect a ranking.
        let dots: Vec<Vec<f64>> = held_out
            .iter()
            .map(|response| self.0.iter().map(|d| dot(response.activation, d)).collect())
            .collect();
        (0..permutations)
            .map(|_| {
                let signs = balanced_signs(self.0.len(), stream);
                let scores: Vec<LabelledScore> = dots
                    .iter()
                    .zip(held_out)
                    .map(|(row, response)| LabelledScore {
                        score: row.iter().zip(&signs).map(|(x, s)| x * s).sum(),
                        positive: response.positive,
                        cluster: 0,
                    })
                    .collect();
                auroc(&scores)
            })
            .collect()
    }
}

/// As many +1 as −1, in random order. If `count` is odd, there is one more of either, at random.
fn balanced_signs(count: usize, stream: &mut RandomStream) -> Vec<f64> {
    let first = stream.sign();
    let mut signs: Vec<f64> =
        (0..count).map(|place| if place % 2 == 0 { first } else { -first }).collect();
    // Fisher–Yates shuffle.
    for place in (1..count).rev() {
        signs.swap(place, stream.below(place + 1));
    }
    signs
}

#[cfg(test)]
mod tests;
