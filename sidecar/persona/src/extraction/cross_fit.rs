//! What the extraction questions alone say about a layer: vectors from one half of the questions, tried on the other.
//! The layer is chosen by this, so that the held-out questions are looked at only once, at the end.

use super::pairs::{Sample, mean_difference};
use crate::linear::project;
use crate::stats::{Labelled, auroc};
use crate::vector_file::LayerMatrix;

/// Two sets of vectors, each from the questions of one half.
#[derive(Clone, Debug)]
pub struct CrossFit {
    /// `folds[f]` was made without the questions whose index has parity f.
    folds: [LayerMatrix; 2],
}

impl CrossFit {
    /// From extraction pairs. `None` where a half has none.
    #[must_use]
    pub fn new(pairs: &[(&Sample, &Sample)]) -> Option<Self> {
        let without = |parity: u32| {
            let rest: Vec<_> = pairs.iter().copied().filter(|(sample, _)| sample.key.question % 2 != parity).collect();
            mean_difference(&rest)
        };
        Some(Self { folds: [without(0)?, without(1)?] })
    }

    /// The vector at a layer that a question had no part in.
    #[must_use]
    pub fn vector_for(&self, question: u32, layer: u32) -> Option<&[f32]> {
        self.folds[(question % 2) as usize].layer(layer)
    }

    /// Projections (positive, negative) of a pair on the vector that its question had no part in.
    #[must_use]
    pub fn project(&self, pair: (&Sample, &Sample), layer: u32) -> Option<(f64, f64)> {
        let vector = self.vector_for(pair.0.key.question, layer)?;
        let at = |sample: &Sample| sample.activations.get(layer as usize).map(|activation| project(activation, vector));
        Some((at(pair.0)?, at(pair.1)?))
    }

    /// Separation at a layer, 0 to 1: AUROC of the cross-fitted projections.
    #[must_use]
    pub fn separation(&self, pairs: &[(&Sample, &Sample)], layer: u32) -> Option<f64> {
        let mut scores = Vec::with_capacity(2 * pairs.len());
        for pair in pairs {
            let (positive, negative) = self.project(*pair, layer)?;
            let cluster = pair.0.key.question;
            scores.push(Labelled { score: positive, positive: true, cluster });
            scores.push(Labelled { score: negative, positive: false, cluster });
        }
        auroc(&scores)
    }

    /// Whether the positive of a pair lies above its negative on most layers of the upper two thirds. Without a judge
    /// this stands in for "shows the trait": a positive that the other questions' vector cannot tell from its negative
    /// most likely did not follow its instruction.
    #[must_use]
    pub fn is_separated(&self, pair: (&Sample, &Sample)) -> bool {
        let layers = self.folds[0].layers();
        let from = layers.div_ceil(3).max(1);
        let above = (from..=layers)
            .filter(|layer| self.project(pair, *layer).is_some_and(|(positive, negative)| positive > negative))
            .count();
        2 * above as u32 > layers - from
    }
}

/// Of `(layer, effect of steering by question)`, the layer to use: the one with the greatest mean effect.
/// Ties, and layers whose mean lies within `errors` standard errors of the greatest, are decided by `separation`: a
/// difference within the noise is no reason to monitor at a layer that separates worse.
#[must_use]
pub fn choose_layer(effects: &[(u32, Vec<f64>)], separation: impl Fn(u32) -> f64, errors: f64) -> Option<u32> {
    let summaries: Vec<(u32, f64, f64)> = effects
        .iter()
        .filter(|(_, effects)| effects.len() > 1)
        .map(|(layer, effects)| {
            let error = crate::stats::standard_deviation(effects) / (effects.len() as f64).sqrt();
            (*layer, crate::stats::mean(effects), error)
        })
        .collect();
    let (_, best, error) = *summaries.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    summaries
        .iter()
        .filter(|(_, mean, _)| *mean >= best - errors * error)
        .max_by(|a, b| separation(a.0).total_cmp(&separation(b.0)).then(a.1.total_cmp(&b.1)))
        .map(|(layer, _, _)| *layer)
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
                let mut row =
                    |shift: f32| (0..16).map(|i| stream.normal() as f32 + if i == 0 { shift } else { 0.0 }).collect();
                let shift = if polarity == Polarity::Positive { signal } else { 0.0 };
                let key = SampleKey { question, pair: 0, rollout: 0 };
                samples.push(Sample { key, polarity, activations: vec![row(0.0), row(shift), row(shift), row(shift)] });
            }
        }
        samples
    }

    #[test]
    fn a_signal_separates_the_other_half_and_noise_does_not() {
        let samples = samples(8.0);
        let pairs = pair_up(&samples);
        let fit = CrossFit::new(&pairs).unwrap();
        assert!(fit.separation(&pairs, 1).unwrap() > 0.95);
        // Fitted and tried on the same questions, pure noise would separate perfectly; here it stays near one half.
        assert!((0.2..0.8).contains(&fit.separation(&pairs, 0).unwrap()));
        assert!(pairs.iter().all(|pair| fit.is_separated(*pair)));
        let (positive, negative) = pairs[0];
        assert!(!fit.is_separated((negative, positive)));
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

    #[test]
    fn the_layer_with_the_greatest_effect_wins_and_noise_is_decided_by_separation() {
        let effects = vec![(4, vec![1.0, 1.1, 0.9]), (8, vec![3.0, 3.2, 2.8]), (12, vec![2.95, 3.1, 2.9])];
        assert_eq!(choose_layer(&effects, |_| 0.5, 0.0), Some(8));
        assert_eq!(choose_layer(&effects, f64::from, 1.0), Some(12));
        assert_eq!(choose_layer(&[], |_| 0.5, 1.0), None);
    }
}
