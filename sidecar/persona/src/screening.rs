//! Screening training data: how far each sample would move a model along a trait.
//!
//! The projection difference of a sample (x, y) is ΔP = (ā(x, y) − ā(x, y′))·v̂: the mean
//! projection over the sample's response tokens minus that over the model's own answer y′. What the
//! model would say anyway teaches it nothing; what lies further along the trait than its own answer
//! does. A single own answer is a noisy reference, though, and where it says nothing about the
//! sample's score, taking it off only adds its noise. So by default it is taken off as far as it
//! foretells the score over the data set, by least squares; and the score is a mean over several
//! layers, each in standard deviations of benign answers.
//!
//! Text in a manner that the model never uses lies far along many directions. Where it is asked
//! for, a second witness is heard that such text says nothing to: how much likelier the model finds
//! the answer when it is told to show the trait.

use crate::stats::{mean, standard_deviation};
use crate::vector_file::VectorFile;

/// Layers that a score is the mean of, at most.
const MAX_LAYERS: usize = 16;
/// Weight of the likelihood ratio beside the projection difference, both in their standard
/// deviations over the data set.
const LIKELIHOOD_WEIGHT: f64 = 0.25;

/// How a text's place along a trait is read: projections at some layers, brought to one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// Layer, and mean and standard deviation of benign answers there.
    layers: Vec<(u32, f64, f64)>,
}

impl Gauge {
    /// The mean over layers of the upper half but the last, in standard deviations from benign
    /// answers; where the file has no calibration, the raw projection at its best layer.
    #[must_use]
    pub fn new(file: &VectorFile) -> Self {
        let upper: Vec<u32> = (file.layers() / 2 + 1..file.layers()).collect();
        let step = upper.len().div_ceil(MAX_LAYERS).max(1);
        let calibrated = |layer: &u32| {
            let calibration = file.calibration(*layer)?;
            let usable =
                calibration.standard_deviation > 0.0 && crate::norm(file.layer(*layer)?) > 0.0;
            usable.then_some((*layer, calibration.mean, calibration.standard_deviation))
        };
        let layers: Option<Vec<_>> = upper.iter().step_by(step).map(calibrated).collect();
        match layers.filter(|layers| !layers.is_empty()) {
            Some(layers) => Self { layers },
            None => Self::raw(file),
        }
    }

    /// The raw projection at the file's best layer, as in the paper.
    #[must_use]
    pub fn raw(file: &VectorFile) -> Self {
        Self { layers: vec![(file.best_layer(), 0.0, 1.0)] }
    }

    /// The layers to project at, in the order in which [`Gauge::read`] wants the projections.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = u32> {
        self.layers.iter().map(|(layer, _, _)| *layer)
    }

    /// The place along the trait, from projections at each of [`Gauge::layers`].
    #[must_use]
    pub fn read(&self, projections: &[f64]) -> f64 {
        let scaled = self
            .layers
            .iter()
            .zip(projections)
            .map(|((_, mean, deviation), value)| (value - mean) / deviation);
        mean(&scaled.collect::<Vec<_>>())
    }
}

/// A sample's answer and what it is compared with, as a [`Gauge`] reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Line of the data set, from 1.
    pub line: u64,
    /// The sample's answer.
    pub answer: f64,
    /// The model's own answer, or what stands for it.
    pub reference: f64,
    /// How much likelier the sample's answer is under system prompts that ask for the trait than
    /// under opposite ones, in nats; `None` where it was not asked for.
    pub likelihood_ratio: Option<f64>,
}

/// How much of the reference is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// All of it, as in the paper.
    Whole,
    /// As far as it foretells the answer's score over the data set: its least-squares slope, 0 to
    /// 1.
    Fitted,
}

impl Weight {
    /// The factor of the reference.
    #[must_use]
    pub fn factor(self, samples: &[Measured]) -> f64 {
        let of = |value: fn(&Measured) -> f64| mean(&samples.iter().map(value).collect::<Vec<_>>());
        let (answer, reference) = (of(|sample| sample.answer), of(|sample| sample.reference));
        let together = samples
            .iter()
            .map(|sample| (sample.answer - answer) * (sample.reference - reference))
            .sum::<f64>();
        let alone =
            samples.iter().map(|sample| (sample.reference - reference).powi(2)).sum::<f64>();
        match self {
            Self::Whole => 1.0,
            Self::Fitted if alone > 0.0 => (together / alone).clamp(0.0, 1.0),
            Self::Fitted => 0.0,
        }
    }

    /// Samples with their differences.
    #[must_use]
    pub fn differences(self, samples: &[Measured]) -> Vec<Screened> {
        let factor = self.factor(samples);
        let differences: Vec<f64> =
            samples.iter().map(|sample| sample.answer - factor * sample.reference).collect();
        let likelihoods =
            likelihoods(samples, &differences).unwrap_or_else(|| vec![0.0; samples.len()]);
        let measures = samples.iter().zip(differences).zip(likelihoods);
        let screened = measures.map(|((sample, difference), likelihood)| Screened {
            line: sample.line,
            difference: difference + likelihood,
        });
        screened.collect()
    }
}

/// What the likelihood ratio adds to each difference, in its unit. `None` where a sample has none,
/// or all have the same.
fn likelihoods(samples: &[Measured], differences: &[f64]) -> Option<Vec<f64>> {
    let ratios: Vec<f64> =
        samples.iter().map(|sample| sample.likelihood_ratio).collect::<Option<_>>()?;
    let scatter = if ratios.len() > 1 { standard_deviation(&ratios) } else { 0.0 };
    let (centre, unit) =
        (mean(&ratios), LIKELIHOOD_WEIGHT * standard_deviation(differences) / scatter);
    (scatter > 0.0).then(|| ratios.iter().map(|ratio| unit * (ratio - centre)).collect())
}

/// A screened sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Screened {
    /// Line of the data set, from 1.
    pub line: u64,
    /// Projection difference.
    pub difference: f64,
}

/// A screened sample's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The sample.
    pub sample: Screened,
    /// 1 for the greatest difference.
    pub rank: usize,
    /// Fraction of samples with a smaller difference.
    pub percentile: f64,
}

/// Samples from the greatest difference to the least; ties in order of their lines.
#[must_use]
pub fn rank(samples: &[Screened]) -> Vec<Ranked> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| b.difference.total_cmp(&a.difference).then(a.line.cmp(&b.line)));
    sorted
        .iter()
        .zip(1..)
        .map(|(sample, rank)| {
            let smaller = sorted.len()
                - sorted.partition_point(|other| other.difference >= sample.difference);
            Ranked { sample: *sample, rank, percentile: smaller as f64 / sorted.len() as f64 }
        })
        .collect()
}

/// The fraction of planted samples among the first `k`; `None` for k = 0 or fewer samples than
/// that.
#[must_use]
pub fn precision_at(ranked: &[Ranked], k: usize, planted: impl Fn(u64) -> bool) -> Option<f64> {
    let first = ranked.get(..k).filter(|first| !first.is_empty())?;
    Some(first.iter().filter(|ranked| planted(ranked.sample.line)).count() as f64 / k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Calibration, Counts, LayerMatrix, ModelIdentity, VectorMetadata};
    use std::collections::BTreeMap;

    fn file(calibrated: bool) -> VectorFile {
        let rows: Vec<Vec<f32>> = (0..9_u8).map(|layer| vec![1.0, f32::from(layer)]).collect();
        let calibration = Calibration::from_scores(&[1.0, 2.0, 3.0]);
        let metadata = VectorMetadata {
            format: VectorMetadata::FORMAT.to_owned(),
            trait_name: "evil".to_owned(),
            description: String::new(),
            model: ModelIdentity { name: "m".to_owned(), sha256: "ab".repeat(32) },
            method: String::new(),
            counts: Counts { positive: 2, negative: 2 },
            best_layer: 2,
            validation: Vec::new(),
            calibration: (0..9)
                .filter_map(|_| calibration.clone().filter(|_| calibrated))
                .collect(),
            steering: Vec::new(),
            settings: BTreeMap::new(),
        };
        VectorFile::new(metadata, LayerMatrix::from_rows(&rows).unwrap(), None, None).unwrap()
    }

    #[test]
    fn a_gauge_reads_the_upper_half_in_standard_deviations_or_else_the_best_layer() {
        let gauge = Gauge::new(&file(true));
        assert_eq!(gauge.layers().collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!(gauge.read(&[2.0, 3.0, 4.0]), 1.0);
        for raw in [Gauge::new(&file(false)), Gauge::raw(&file(true))] {
            assert_eq!((raw.layers().collect::<Vec<_>>(), raw.read(&[7.0])), (vec![2], 7.0));
        }
    }

    #[test]
    fn a_reference_is_taken_off_as_far_as_it_foretells() {
        let sample = |(line, answer, reference)| Measured {
            line,
            answer,
            reference,
            likelihood_ratio: None,
        };
        let half = [(1, 1.0, 0.0), (2, 3.0, 4.0), (3, 2.0, 2.0)].map(sample);
        assert_eq!(Weight::Fitted.factor(&half), 0.5);
        assert_eq!(Weight::Whole.differences(&half)[1], Screened { line: 2, difference: -1.0 });
        assert_eq!(Weight::Fitted.differences(&half)[1], Screened { line: 2, difference: 1.0 });
        let against = [(1, 1.0, 4.0), (2, 3.0, 0.0)].map(sample);
        assert_eq!(Weight::Fitted.factor(&against), 0.0);
        let nothing = [(1, 1.0, 0.0), (2, 3.0, 0.0)].map(sample);
        assert_eq!(Weight::Fitted.factor(&nothing), 0.0);
    }

    #[test]
    fn the_likelihood_ratio_counts_by_a_quarter_of_its_spread() {
        let sample = |(line, answer, ratio)| Measured {
            line,
            answer,
            reference: 0.0,
            likelihood_ratio: Some(ratio),
        };
        // Standard deviations of 1 and 10, so that 10 nats weigh as much as a quarter.
        let samples = [(1, 1.0, 20.0), (2, 2.0, 10.0), (3, 3.0, 30.0)].map(sample);
        let found = Weight::Fitted.differences(&samples).into_iter().map(|one| one.difference);
        assert_eq!(found.collect::<Vec<_>>(), [1.0, 1.75, 3.25]);
        let same = samples.map(|sample| Measured { likelihood_ratio: Some(5.0), ..sample });
        let without = samples.map(|sample| Measured { likelihood_ratio: None, ..sample });
        assert_eq!(Weight::Fitted.differences(&same), Weight::Fitted.differences(&without));
        assert_eq!(Weight::Fitted.differences(&samples[..1])[0].difference, 1.0);
    }

    #[test]
    fn the_greatest_difference_comes_first() {
        let samples = [(1, 0.5), (2, 3.0), (3, -1.0), (4, 0.5)]
            .map(|(line, difference)| Screened { line, difference });
        let ranked = rank(&samples);
        assert_eq!(
            ranked.iter().map(|ranked| ranked.sample.line).collect::<Vec<_>>(),
            [2, 1, 4, 3]
        );
        assert_eq!(
            ranked.iter().map(|ranked| ranked.percentile).collect::<Vec<_>>(),
            [0.75, 0.25, 0.25, 0.0]
        );
        assert_eq!(precision_at(&ranked, 2, |line| line == 2), Some(0.5));
        assert_eq!(precision_at(&ranked, 9, |_| true), None);
    }
}
