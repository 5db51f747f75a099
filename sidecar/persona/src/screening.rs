//! Screening training data: how far each sample would move a model along a trait.
//!
//! The projection difference of a sample (x, y) is ΔP = (ā(x, y) − ā(x, y′))·v̂: the mean projection over the sample's
//! response tokens minus that over the model's own answer y′. What the model would say anyway teaches it nothing; what
//! lies further along the trait than its own answer does. A single own answer is a noisy reference, though, and where it
//! says nothing about the sample's score, taking it off only adds its noise. So by default it is taken off as far as it
//! foretells the score over the data set, by least squares; and the score is a mean over several layers, each in standard
//! deviations of benign answers.

use crate::stats::mean;
use crate::vector_file::VectorFile;

/// Layers that a score is the mean of, at most.
const MAX_LAYERS: usize = 16;

/// How a text's place along a trait is read: projections at some layers, brought to one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// Layer, and mean and standard deviation of benign answers there.
    layers: Vec<(u32, f64, f64)>,
}

impl Gauge {
    /// The mean over layers of the upper half but the last, in standard deviations from benign answers; where the file has
    /// no calibration, the raw projection at its best layer.
    #[must_use]
    pub fn new(file: &VectorFile) -> Self {
        let upper: Vec<u32> = (file.layers() / 2 + 1..file.layers()).collect();
        let step = upper.len().div_ceil(MAX_LAYERS).max(1);
        let calibrated = |layer: &u32| {
            let calibration = file.calibration(*layer)?;
            let usable = calibration.standard_deviation > 0.0 && crate::norm(file.layer(*layer)?) > 0.0;
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
        let scaled =
            self.layers.iter().zip(projections).map(|((_, mean, deviation), value)| (value - mean) / deviation);
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
}

/// How much of the reference is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// All of it, as in the paper.
    Whole,
    /// As far as it foretells the answer's score over the data set: its least-squares slope, 0 to 1.
    Fitted,
}

impl Weight {
    /// The factor of the reference.
    #[must_use]
    pub fn factor(self, samples: &[Measured]) -> f64 {
        let of = |value: fn(&Measured) -> f64| mean(&samples.iter().map(value).collect::<Vec<_>>());
        let (answer, reference) = (of(|sample| sample.answer), of(|sample| sample.reference));
        let together =
            samples.iter().map(|sample| (sample.answer - answer) * (sample.reference - reference)).sum::<f64>();
        let alone = samples.iter().map(|sample| (sample.reference - reference).powi(2)).sum::<f64>();
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
        let screened = samples
            .iter()
            .map(|sample| Screened { line: sample.line, difference: sample.answer - factor * sample.reference });
        screened.collect()
    }
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
            let smaller = sorted.len() - sorted.partition_point(|other| other.difference >= sample.difference);
            Ranked { sample: *sample, rank, percentile: smaller as f64 / sorted.len() as f64 }
        })
        .collect()
}

/// The fraction of planted samples among the first `k`; `None` for k = 0 or fewer samples than that.
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
            calibration: (0..9).filter_map(|_| calibration.clone().filter(|_| calibrated)).collect(),
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
        let sample = |(line, answer, reference)| Measured { line, answer, reference };
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
    fn the_greatest_difference_comes_first() {
        let samples = [(1, 0.5), (2, 3.0), (3, -1.0), (4, 0.5)].map(|(line, difference)| Screened { line, difference });
        let ranked = rank(&samples);
        assert_eq!(ranked.iter().map(|ranked| ranked.sample.line).collect::<Vec<_>>(), [2, 1, 4, 3]);
        assert_eq!(ranked.iter().map(|ranked| ranked.percentile).collect::<Vec<_>>(), [0.75, 0.25, 0.25, 0.0]);
        assert_eq!(precision_at(&ranked, 2, |line| line == 2), Some(0.5));
        assert_eq!(precision_at(&ranked, 9, |_| true), None);
    }
}
