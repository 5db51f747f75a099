//! Persona vectors, and the model that they must fit.

use crate::policy::MAX_COEFFICIENT;
use crate::refusal::Refusal;
use std::sync::Arc;

/// What a vector must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// SHA-256 of the weight file.
    pub digest: String,
    /// Number of blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: usize,
}

/// One layer of a persona vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// The trait.
    pub trait_name: String,
    /// The layer, 1-based.
    pub layer: u32,
    /// SHA-256 of the weight file that the vector was extracted from.
    pub model_digest: String,
    /// SHA-256 of the values.
    pub sha256: String,
    /// What benign responses score by `ResponseAvg`, where it is known.
    pub baseline: Option<Baseline>,
    /// Raw values, shape `[hidden]`; or why they cannot be used.
    pub values: Result<Arc<[f32]>, Refusal>,
}

/// Mean and spread of a score over benign responses: what drift is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// Mean score.
    pub mean: f64,
    /// Standard deviation, above 0.
    pub standard_deviation: f64,
}

impl Vector {
    /// The values, if they fit the model: a vector is bound to its model's digest and shape.
    pub(crate) fn values_for(
        &self,
        name: &str,
        model: &ModelFacts,
    ) -> Result<&Arc<[f32]>, Refusal> {
        let values = self.values.as_ref().map_err(Refusal::clone)?;
        if self.model_digest != model.digest {
            return Err(Refusal::OtherModel {
                vector: name.to_owned(),
                extracted_from: short(&self.model_digest),
                served: short(&model.digest),
            });
        }
        if self.layer > model.layers {
            return Err(Refusal::LayerMissing {
                vector: name.to_owned(),
                layer: self.layer,
                layers: model.layers,
            });
        }
        if values.len() != model.hidden {
            return Err(Refusal::WrongWidth {
                vector: name.to_owned(),
                width: values.len(),
                hidden: model.hidden,
            });
        }
        if !is_usable(values) {
            return Err(Refusal::Unusable { vector: name.to_owned() });
        }
        Ok(values)
    }
}

/// Whether values can be projected on and steered with.
#[allow(clippy::cast_possible_truncation, reason = "the limit is a small integer")]
fn is_usable(values: &[f32]) -> bool {
    let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let steerable = values.iter().all(|value| (value * MAX_COEFFICIENT as f32).is_finite());
    norm.is_finite() && norm != 0.0 && steerable
}

/// The first 12 digits of a digest, for people to read.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
