//! Which contrasts the model follows, where no judge can say it.

use super::pairs::{Pair, mean_difference};
use crate::linear::dot;
use crate::stats::{LabelledScore, auroc, mean};
use std::collections::BTreeSet;

/// The pairs of those contrasts that the model follows.
///
/// Without a judge, this stands in for "the answer shows the trait". A contrast is dropped, with
/// all of its pairs, if the vector of the *other* contrasts and the other half of the questions
/// does not separate its answers: if their AUROC, averaged over the upper two thirds of the layers,
/// is at most one half. Single answers are never dropped by their scores, because then the vector
/// would be made from what it already finds.
#[must_use]
pub fn followed_contrasts<'a>(pairs: &[Pair<'a>]) -> Vec<Pair<'a>> {
    let contrasts: BTreeSet<u32> = pairs.iter().map(|(sample, _)| sample.key.contrast).collect();
    let followed: BTreeSet<u32> = contrasts
        .into_iter()
        .filter(|contrast| mean_auroc(pairs, *contrast).is_none_or(|auroc| auroc > 0.5))
        .collect();
    pairs.iter().copied().filter(|(sample, _)| followed.contains(&sample.key.contrast)).collect()
}

/// Mean AUROC of a contrast's answers on vectors made without it. `None` if no pairs are left to
/// make a vector from, or to try it on.
fn mean_auroc(pairs: &[Pair<'_>], contrast: u32) -> Option<f64> {
    let mut aurocs = Vec::new();
    for parity in 0..2 {
        let others: Vec<_> = pairs
            .iter()
            .copied()
            .filter(|(sample, _)| {
                sample.key.contrast != contrast && sample.key.question % 2 != parity
            })
            .collect();
        let own = || {
            pairs.iter().filter(|(sample, _)| {
                sample.key.contrast == contrast && sample.key.question % 2 == parity
            })
        };
        let vectors = mean_difference(&others)?;
        for layer in vectors.layers().div_ceil(3).max(1)..=vectors.layers() {
            let vector = vectors.layer(layer)?;
            let scores: Vec<LabelledScore> = own()
                .flat_map(|(positive, negative)| [(positive, true), (negative, false)])
                .map(|(sample, positive)| LabelledScore {
                    score: dot(sample.at(layer), vector),
                    positive,
                    cluster: 0,
                })
                .collect();
            if scores.iter().any(|score| !score.score.is_finite()) {
                // Follows nothing: it is not above one half.
                return Some(f64::NAN);
            }
            aurocs.push(auroc(&scores)?);
        }
    }
    Some(mean(&aurocs))
}

#[cfg(test)]
mod tests;
