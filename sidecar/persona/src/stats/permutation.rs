//! The permuted-label control: what AUROC do directions reach that were made from the same
//! responses with meaningless labels? In a space where a few directions carry most of the variance,
//! well above one half.

use super::{Labelled, auroc, quantile};
use crate::Permuted;
use crate::linear::dot;
use crate::random::Stream;

/// Differences positive − negative of matched extraction responses at one layer, each of shape
/// `[hidden]`.
///
/// Under the hypothesis that labels mean nothing, each pair's labels could as well be exchanged,
/// which turns its difference's sign: a permutation within pairs. The permuted vector is the mean
/// of the differences with the signs of exactly half of them, drawn at random, turned. With signs
/// that are independent of one another a random share of the true direction would remain, and where
/// the trait stands out clearly a share of any size separates as well as the whole: a perfect
/// vector could not beat its control. With half turned, what all pairs have in common cancels out.
#[derive(Clone, Copy, Debug)]
pub struct PairedDifferences<'a>(pub &'a [Vec<f32>]);

/// A held-out response for the control.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    /// Its activation at the layer, shape `[hidden]`.
    pub activation: &'a [f32],
    /// Whether it was asked to show the trait.
    pub positive: bool,
}

impl PairedDifferences<'_> {
    /// Quantiles of the held-out AUROC over `permutations` draws of signs. `None` without
    /// differences, or without both labels in the held-out set.
    #[must_use]
    pub fn control(
        &self,
        held_out: &[Control<'_>],
        permutations: usize,
        seed: u64,
    ) -> Option<Permuted> {
        quantiles(self.areas(held_out, permutations, &mut Stream::new(seed, 0x9E8))?)
    }

    /// The held-out AUROC of each of `permutations` draws, as [`PairedDifferences::control`] has
    /// them.
    #[must_use]
    pub(crate) fn areas(
        &self,
        held_out: &[Control<'_>],
        permutations: usize,
        stream: &mut Stream,
    ) -> Option<Vec<f64>> {
        if self.0.is_empty() {
            return None;
        }
        // A projection on a signed sum is the signed sum of projections: one table serves every
        // permutation. The vector's length does not matter to a ranking.
        let table: Vec<Vec<f64>> = held_out
            .iter()
            .map(|response| self.0.iter().map(|d| dot(response.activation, d)).collect())
            .collect();
        (0..permutations)
            .map(|_| {
                let signs = balanced(self.0.len(), stream);
                let scores: Vec<Labelled> = table
                    .iter()
                    .zip(held_out)
                    .map(|(row, response)| Labelled {
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

/// As many signs of either kind in random order; with an odd number, one more of a random kind.
fn balanced(count: usize, stream: &mut Stream) -> Vec<f64> {
    let first = stream.sign();
    let mut signs: Vec<f64> =
        (0..count).map(|place| if place % 2 == 0 { first } else { -first }).collect();
    for place in (1..count).rev() {
        signs.swap(place, stream.below(place + 1));
    }
    signs
}

/// The control's points among areas; `None` without any.
pub(crate) fn quantiles(mut areas: Vec<f64>) -> Option<Permuted> {
    areas.sort_by(f64::total_cmp);
    (!areas.is_empty())
        .then(|| Permuted { q95: quantile(&areas, 0.95), q99: quantile(&areas, 0.99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(stream: &mut Stream, hidden: usize) -> Vec<f32> {
        (0..hidden).map(|_| stream.normal() as f32).collect()
    }

    fn held_out<'a>(activations: &'a [Vec<f32>]) -> Vec<Control<'a>> {
        activations
            .iter()
            .enumerate()
            .map(|(i, activation)| Control { activation, positive: i % 2 == 0 })
            .collect()
    }

    #[test]
    fn without_a_signal_the_control_is_centred_on_one_half() {
        let mut stream = Stream::new(11, 0);
        let differences: Vec<_> = (0..40).map(|_| noise(&mut stream, 64)).collect();
        let activations: Vec<_> = (0..80).map(|_| noise(&mut stream, 64)).collect();
        let permuted =
            PairedDifferences(&differences).control(&held_out(&activations), 1000, 1).unwrap();
        // The standard deviation of U/(n·m) for two samples of 40 is √((40+40+1)/(12·40·40)) =
        // 0.065.
        assert!((0.57..0.66).contains(&permuted.q95), "{permuted:?}");
        assert!(permuted.q99 > permuted.q95, "{permuted:?}");
    }

    #[test]
    fn a_signal_however_clear_lies_above_its_control() {
        let mut stream = Stream::new(12, 0);
        let shifted = |stream: &mut Stream, shift: f32| {
            let mut activation = noise(stream, 64);
            activation[0] += shift;
            activation
        };
        let differences: Vec<_> = (0..40).map(|_| shifted(&mut stream, 6.0)).collect();
        let activations: Vec<_> =
            (0..80).map(|i| shifted(&mut stream, if i % 2 == 0 { 6.0 } else { 0.0 })).collect();
        let permuted =
            PairedDifferences(&differences).control(&held_out(&activations), 500, 1).unwrap();
        // A permuted vector is noise in 64 directions, one of which holds the signal: z of about
        // 6/8 standard deviations, so that 99% of areas lie below Φ(2.33 · 0.75/√2) = 0.89. The
        // vector itself reaches 1.
        assert!((0.8..0.95).contains(&permuted.q99), "{permuted:?}");
    }

    #[test]
    fn half_of_the_signs_are_turned() {
        let mut stream = Stream::new(3, 0);
        for _ in 0..50 {
            assert_eq!(balanced(10, &mut stream).iter().sum::<f64>(), 0.0);
            assert_eq!(balanced(7, &mut stream).iter().sum::<f64>().abs(), 1.0);
        }
    }

    #[test]
    fn nothing_to_permute() {
        assert_eq!(PairedDifferences(&[]).control(&[], 10, 1), None);
    }
}
