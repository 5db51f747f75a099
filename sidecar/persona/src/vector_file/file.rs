//! A checked vector file and what can be asked of it.

use super::error::VectorFileError;
use super::metadata::{LayerValidation, SampleCounts, VectorMetadata};
use super::validate::{check_matrix, check_metadata};
use crate::calibration::Calibration;
use crate::dose_response::{SteeringPoint, is_monotonic};
use crate::layer_matrix::LayerMatrix;

/// The content of a vector file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorFile {
    metadata: VectorMetadata,
    response_avg: LayerMatrix,
    prompt_avg: Option<LayerMatrix>,
    prompt_last: Option<LayerMatrix>,
}

impl VectorFile {
    /// Assembles a file from its parts.
    ///
    /// # Errors
    /// If the metadata makes no sense or does not fit the vectors, if the matrices differ in shape,
    /// or if a value is not finite.
    pub fn new(
        metadata: VectorMetadata,
        response_avg: LayerMatrix,
        prompt_avg: Option<LayerMatrix>,
        prompt_last: Option<LayerMatrix>,
    ) -> Result<Self, VectorFileError> {
        check_matrix("response_avg", &response_avg)?;
        for (name, matrix) in [("prompt_avg", &prompt_avg), ("prompt_last", &prompt_last)] {
            let Some(matrix) = matrix else { continue };
            check_matrix(name, matrix)?;
            if (matrix.layers(), matrix.hidden()) != (response_avg.layers(), response_avg.hidden())
            {
                let problem = "differs in shape from response_avg".to_owned();
                return Err(VectorFileError::Tensor { name, problem });
            }
        }
        check_metadata(&metadata, response_avg.layers()).map_err(VectorFileError::Metadata)?;
        Ok(Self { metadata, response_avg, prompt_avg, prompt_last })
    }

    /// The same vectors with other metadata, such as a new calibration.
    ///
    /// # Errors
    /// As [`VectorFile::new`].
    pub fn with_metadata(self, metadata: VectorMetadata) -> Result<Self, VectorFileError> {
        Self::new(metadata, self.response_avg, self.prompt_avg, self.prompt_last)
    }

    /// What the file says about its vectors.
    #[must_use]
    pub fn metadata(&self) -> &VectorMetadata {
        &self.metadata
    }

    /// Name of the trait.
    #[must_use]
    pub fn trait_name(&self) -> &str {
        &self.metadata.trait_name
    }

    /// SHA-256 of the weight file that the vectors belong to, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn model_digest(&self) -> &str {
        &self.metadata.model.sha256
    }

    /// How the vectors were made.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.metadata.method
    }

    /// How many responses they were made from.
    #[must_use]
    pub fn counts(&self) -> SampleCounts {
        self.metadata.counts
    }

    /// The layer to use, 1-based.
    #[must_use]
    pub fn best_layer(&self) -> u32 {
        self.metadata.best_layer
    }

    /// Number of layers of the model, not counting the embedding output.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.response_avg.layers()
    }

    /// Width of the residual stream.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.response_avg.hidden()
    }

    /// The raw vector over response tokens after block `layer`, shape `[hidden]`; 0 is the
    /// embedding output. `None` if the model has fewer layers.
    #[must_use]
    pub fn layer(&self, layer: u32) -> Option<&[f32]> {
        self.response_avg.layer(layer)
    }

    /// The vectors over response tokens.
    #[must_use]
    pub fn response_avg(&self) -> &LayerMatrix {
        &self.response_avg
    }

    /// The vectors over prompt tokens, if the file has them.
    #[must_use]
    pub fn prompt_avg(&self) -> Option<&LayerMatrix> {
        self.prompt_avg.as_ref()
    }

    /// The vectors at the last prompt token, if the file has them.
    #[must_use]
    pub fn prompt_last(&self) -> Option<&LayerMatrix> {
        self.prompt_last.as_ref()
    }

    /// Validation of a layer on held-out questions; `None` if the vectors were not validated.
    #[must_use]
    pub fn validation(&self, layer: u32) -> Option<&LayerValidation> {
        self.metadata.validation.get(layer as usize)
    }

    /// Held-out AUROC of a layer, 0 to 1; `None` if the vectors were not validated.
    #[must_use]
    pub fn auroc(&self, layer: u32) -> Option<f64> {
        self.validation(layer).map(|validation| validation.auroc)
    }

    /// Distribution of a layer's `response_avg` over benign responses; `None` if the vectors were
    /// not calibrated.
    #[must_use]
    pub fn calibration(&self, layer: u32) -> Option<&Calibration> {
        self.metadata.calibration.get(layer as usize)
    }

    /// Whether a layer's held-out AUROC lies above the 99% quantile of its permuted-label control,
    /// and, if the responses were rescored, does so after rescoring too. `None` if the vectors were
    /// not validated, as imported ones are not.
    #[must_use]
    pub fn discriminates(&self, layer: u32) -> Option<bool> {
        let found = self.validation(layer)?;
        let rescored = match (found.rescored, found.rescored_permuted) {
            (Some(auroc), Some(permuted)) => auroc > permuted.q99,
            _ => true,
        };
        Some(found.auroc > found.permuted.q99 && rescored)
    }

    /// Whether the best layer discriminates.
    #[must_use]
    pub fn is_discriminative(&self) -> Option<bool> {
        self.discriminates(self.best_layer())
    }

    /// Dose response at a layer. It is measured at the best layer only, and empty elsewhere or if
    /// it was not measured.
    #[must_use]
    pub fn steering(&self, layer: u32) -> &[SteeringPoint] {
        if layer == self.best_layer() { &self.metadata.steering } else { &[] }
    }

    /// Whether steering at a layer moves answers along the trait: whether its dose response is
    /// monotonic. `None` if it was not measured.
    #[must_use]
    pub fn steers_at(&self, layer: u32) -> Option<bool> {
        is_monotonic(self.steering(layer))
    }

    /// Whether steering at the best layer moves answers along the trait.
    #[must_use]
    pub fn steers(&self) -> Option<bool> {
        self.steers_at(self.best_layer())
    }
}

#[cfg(test)]
mod tests;
