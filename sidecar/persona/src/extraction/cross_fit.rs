//! What the extraction questions alone say about a layer: vectors from one half of the questions,
//! tried on the other. The layer is chosen by this, so that the held-out questions are looked at
//! only once, at the end.

use super::pairs::{Pair, Sample, mean_difference};
use crate::linear::{difference, dot};
use crate::random::Stream;
use crate::stats::{
    Control, Labelled, PairedDifferences, auroc, mean, quantiles, standard_deviation,
};
use crate::vector_file::{LayerMatrix, Permuted};
use std::collections::BTreeSet;

/// Two sets of vectors, each from the questions of one half.
#[derive(Clone, Debug)]
pub struct CrossFit {
    /// `folds[f]` was made without the questions whose index has parity f.
    folds: [LayerMatrix; 2],
}

impl CrossFit {
    /// From extraction pairs. `None` where a half has none.
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

    /// The vector at a layer that a question had no part in.
    #[must_use]
    pub fn vector_for(&self, question: u32, layer: u32) -> Option<&[f32]> {
        self.folds[(question % 2) as usize].layer(layer)
    }
}

/// How well answers are told apart by vectors that they had no part in, at one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// AUROC of each half's answers on the other half's vector, mean of both. (Projections on two
    /// vectors have two origins, so that halves are not pooled.)
    pub auroc: f64,
    /// The permuted-label control of the same halves.
    pub permuted: Permuted,
}

impl Separation {
    /// How far it lies above the 99% point of its control.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.auroc - self.permuted.q99
    }
}

/// The separation at a layer of `read`, which holds the answers of `pairs` in the same order, as
/// they were written or as they were read under another system prompt. `None` where a half has no
/// pairs.
#[must_use]
pub fn separation(
    pairs: &[Pair<'_>],
    read: &[Pair<'_>],
    layer: u32,
    draws: usize,
    seed: u64,
) -> Option<Separation> {
    let mut stream = Stream::new(seed, 0xC0F);
    let mut half = |parity: u32| {
        let others: Vec<Vec<f32>> = pairs
            .iter()
            .filter(|(sample, _)| sample.key.question % 2 != parity)
            .map(|(positive, negative)| {
                difference(activation(positive, layer), activation(negative, layer))
            })
            .collect();
        let answers: Vec<Control<'_>> = read
            .iter()
            .filter(|(sample, _)| sample.key.question % 2 == parity)
            .flat_map(|(positive, negative)| [(positive, true), (negative, false)])
            .map(|(sample, positive)| Control { activation: activation(sample, layer), positive })
            .collect();
        let sum = others.iter().fold(vec![0.0; others.first()?.len()], |sum: Vec<f32>, other| {
            sum.iter().zip(other).map(|(sum, other)| sum + other).collect()
        });
        let scores: Vec<Labelled> = answers
            .iter()
            .map(|answer| Labelled {
                score: dot(answer.activation, &sum),
                positive: answer.positive,
                cluster: 0,
            })
            .collect();
        Some((auroc(&scores)?, PairedDifferences(&others).areas(&answers, draws, &mut stream)?))
    };
    let ((even, even_areas), (odd, odd_areas)) = (half(0)?, half(1)?);
    let areas =
        even_areas.iter().zip(&odd_areas).map(|(even, odd)| f64::midpoint(*even, *odd)).collect();
    Some(Separation { auroc: f64::midpoint(even, odd), permuted: quantiles(areas)? })
}

fn activation(sample: &Sample, layer: u32) -> &[f32] {
    sample.activations.get(layer as usize).map_or(&[], Vec::as_slice)
}

/// The pairs of those contrasts that the model follows. Without a judge this stands in for "shows
/// the trait": a contrast is left out, whole, if the vector of the *other* contrasts and the other
/// half of the questions does not tell its answers apart (AUROC at most one half, mean over the
/// upper two thirds of the layers). Single answers are not left out by their scores: what remained
/// would be what the vector finds already.
#[must_use]
pub fn followed<'a>(pairs: &[Pair<'a>]) -> Vec<Pair<'a>> {
    let contrasts: BTreeSet<u32> = pairs.iter().map(|(sample, _)| sample.key.pair).collect();
    let kept: BTreeSet<u32> = contrasts
        .into_iter()
        .filter(|contrast| told_apart(pairs, *contrast).is_none_or(|area| area > 0.5))
        .collect();
    pairs.iter().copied().filter(|(sample, _)| kept.contains(&sample.key.pair)).collect()
}

/// Mean AUROC of a contrast's answers; `None` where nothing is left to make a vector of, or nothing
/// to try it on.
fn told_apart(pairs: &[Pair<'_>], contrast: u32) -> Option<f64> {
    let mut areas = Vec::new();
    for parity in 0..2 {
        let others: Vec<_> = pairs
            .iter()
            .copied()
            .filter(|(sample, _)| sample.key.pair != contrast && sample.key.question % 2 != parity)
            .collect();
        let own = || {
            pairs.iter().filter(|(sample, _)| {
                sample.key.pair == contrast && sample.key.question % 2 == parity
            })
        };
        let vectors = mean_difference(&others)?;
        for layer in vectors.layers().div_ceil(3).max(1)..=vectors.layers() {
            let vector = vectors.layer(layer)?;
            let scores: Vec<Labelled> = own()
                .flat_map(|(positive, negative)| [(positive, true), (negative, false)])
                .map(|(sample, positive)| Labelled {
                    score: dot(activation(sample, layer), vector),
                    positive,
                    cluster: 0,
                })
                .collect();
            areas.push(auroc(&scores)?);
        }
    }
    Some(mean(&areas))
}

/// A layer that could be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The layer.
    pub layer: u32,
    /// Effect of steering there, one value a question.
    pub effects: Vec<f64>,
    /// Separation of the extraction questions' answers as they were written.
    pub written: Separation,
    /// The same under a neutral system prompt.
    pub rescored: Separation,
}

impl Candidate {
    /// How far the separation lies above its control, where it does so least.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.written.margin().min(self.rescored.margin())
    }
}

/// Layers in the order in which they are to be preferred. Among candidates whose separation beats
/// its control both as written and rescored (all, where none does) the one with the greatest mean
/// effect of steering goes first; those within one standard error of it are equal, and the margin
/// over the control decides between them. The others follow by their effects.
#[must_use]
pub fn prefer_layers(candidates: &[Candidate]) -> Vec<u32> {
    let beating: Vec<&Candidate> =
        candidates.iter().filter(|candidate| candidate.margin() > 0.0).collect();
    let eligible = if beating.is_empty() { candidates.iter().collect() } else { beating };
    let summaries: Vec<(&Candidate, f64, f64)> = eligible
        .into_iter()
        .filter(|candidate| candidate.effects.len() > 1)
        .map(|candidate| {
            let error =
                standard_deviation(&candidate.effects) / (candidate.effects.len() as f64).sqrt();
            (candidate, mean(&candidate.effects), error)
        })
        .collect();
    let Some((_, best, error)) = summaries.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()
    else {
        return Vec::new();
    };
    let (mut equal, mut behind): (Vec<_>, Vec<_>) =
        summaries.into_iter().partition(|(_, effect, _)| *effect >= best - error);
    equal.sort_by(|a, b| b.0.margin().total_cmp(&a.0.margin()));
    behind.sort_by(|a, b| b.1.total_cmp(&a.1));
    equal.into_iter().chain(behind).map(|(candidate, _, _)| candidate.layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Polarity;
    use crate::extraction::{SampleKey, pair_up};
    use crate::random::Stream;

    fn samples(signal: f32) -> Vec<Sample> {
        let mut stream = Stream::new(2, 0);
        let mut samples = Vec::new();
        for question in 0..12 {
            for polarity in Polarity::BOTH {
                let mut row = |shift: f32| {
                    (0..64)
                        .map(|i| stream.normal() as f32 + if i == 0 { shift } else { 0.0 })
                        .collect()
                };
                let shift = if polarity == Polarity::Positive { signal } else { 0.0 };
                let key = SampleKey { question, pair: 0, rollout: 0 };
                samples.push(Sample {
                    key,
                    polarity,
                    activations: vec![row(0.0), row(shift), row(shift), row(shift)],
                });
            }
        }
        samples
    }

    #[test]
    fn a_signal_separates_the_other_half_and_noise_does_not() {
        let samples = samples(8.0);
        let pairs = pair_up(&samples);
        let signal = separation(&pairs, &pairs, 1, 300, 1).unwrap();
        assert!(signal.auroc > 0.95 && signal.margin() > 0.0, "{signal:?}");
        // Fitted and tried on the same questions, pure noise would separate perfectly; here it
        // stays near one half.
        let noise = separation(&pairs, &pairs, 0, 300, 1).unwrap();
        assert!((0.2..0.8).contains(&noise.auroc) && noise.margin() < 0.0, "{noise:?}");
    }

    #[test]
    fn what_is_read_elsewhere_is_tried_on_the_vector_of_what_was_written() {
        let (written, read) = (samples(8.0), samples(-8.0));
        let (pairs, other) = (pair_up(&written), pair_up(&read));
        assert!(separation(&pairs, &other, 1, 100, 1).unwrap().auroc < 0.05);
    }

    #[test]
    fn a_contrast_that_is_not_followed_is_left_out_whole() {
        let mut samples = samples(8.0);
        for sample in &mut samples {
            sample.key.pair = sample.key.question / 2 % 3;
            if sample.key.pair == 2 && sample.polarity == Polarity::Positive {
                sample.activations.iter_mut().skip(1).for_each(|row| row[0] -= 16.0);
            }
        }
        let kept = followed(&pair_up(&samples));
        assert!(
            kept.len() == 8 && kept.iter().all(|(sample, _)| sample.key.pair != 2),
            "{}",
            kept.len()
        );
    }

    #[test]
    fn the_vector_for_a_question_does_not_depend_on_it() {
        let mut samples = samples(1.0);
        let before = CrossFit::new(&pair_up(&samples)).unwrap().vector_for(3, 1).unwrap().to_vec();
        samples
            .iter_mut()
            .filter(|sample| sample.key.question == 3)
            .for_each(|sample| sample.activations[1][0] += 100.0);
        assert_eq!(CrossFit::new(&pair_up(&samples)).unwrap().vector_for(3, 1).unwrap(), before);
    }

    fn candidate(layer: u32, effects: [f64; 3], written: f64, rescored: f64) -> Candidate {
        let above =
            |margin| Separation { auroc: 0.7 + margin, permuted: Permuted { q95: 0.6, q99: 0.7 } };
        Candidate {
            layer,
            effects: effects.to_vec(),
            written: above(written),
            rescored: above(rescored),
        }
    }

    #[test]
    fn the_layer_that_steers_best_among_those_that_beat_their_control() {
        let weak = candidate(4, [1.0, 1.1, 0.9], 0.1, 0.1);
        let blind = candidate(8, [3.0, 3.2, 2.8], 0.1, -0.1);
        let good = candidate(12, [2.0, 2.1, 1.9], 0.05, 0.1);
        let equal = candidate(16, [1.95, 2.1, 1.9], 0.2, 0.08);
        assert_eq!(prefer_layers(&[weak.clone(), blind.clone(), good.clone()]), [12, 4]);
        assert_eq!(prefer_layers(&[weak, blind.clone(), good, equal]), [16, 12, 4]);
        // Nothing beats its control: steering decides alone.
        assert_eq!(prefer_layers(&[candidate(4, [1.0, 1.1, 0.9], -0.1, -0.1), blind]), [8, 4]);
        assert_eq!(prefer_layers(&[]), [0; 0]);
    }
}
