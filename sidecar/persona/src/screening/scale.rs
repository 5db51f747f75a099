//! One score along a trait from projections at several layers.

use crate::linear::norm;
use crate::stats::mean;
use crate::vector_file::VectorFile;

/// How many layers a score averages at most.
const MAX_LAYERS: usize = 16;

/// How projections at several layers are brought to one scale and averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionScale {
    layers: Vec<LayerScale>,
}

/// The scale of one layer.
#[derive(Clone, Debug, PartialEq)]
struct LayerScale {
    layer: u32,
    /// Mean projection of benign answers.
    mean: f64,
    /// Standard deviation of the projections of benign answers.
    standard_deviation: f64,
}

impl ProjectionScale {
    /// Standard deviations from the mean of benign answers, averaged over at most 16 evenly spaced
    /// layers of the upper half, without the last layer. If the file has no calibration for them,
    /// the raw projection at its best layer.
    #[must_use]
    pub fn standardised(file: &VectorFile) -> Self {
        let upper: Vec<u32> = (file.layers() / 2 + 1..file.layers()).collect();
        let step = upper.len().div_ceil(MAX_LAYERS).max(1);
        let calibrated = |layer: &u32| {
            let calibration = file.calibration(*layer)?;
            let usable = calibration.standard_deviation > 0.0 && norm(file.layer(*layer)?) > 0.0;
            usable.then_some(LayerScale {
                layer: *layer,
                mean: calibration.mean,
                standard_deviation: calibration.standard_deviation,
            })
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
        let layer = LayerScale { layer: file.best_layer(), mean: 0.0, standard_deviation: 1.0 };
        Self { layers: vec![layer] }
    }

    /// The layers to project at, in the order in which [`ProjectionScale::score`] takes their
    /// projections.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = u32> {
        self.layers.iter().map(|scale| scale.layer)
    }

    /// The score, from the projections at each of [`ProjectionScale::layers`].
    #[must_use]
    pub fn score(&self, projections: &[f64]) -> f64 {
        let scaled = self
            .layers
            .iter()
            .zip(projections)
            .map(|(scale, projection)| (projection - scale.mean) / scale.standard_deviation);
        mean(&scaled.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests;
