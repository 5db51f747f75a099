//! Persona vectors, and the model that they must fit.

use crate::refusal::Refusal;
use personaguard_terms::{Coefficient, Digest};
use personaguard_wire::ResolvedVector;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values of a config's vectors by name: raw, at one layer, shape `[hidden]`; or why there are none.
pub type Vectors = BTreeMap<String, Result<Arc<[f32]>, Refusal>>;

/// What a vector must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// SHA-256 of the weight file.
    pub digest: Digest,
    /// Number of blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: usize,
}

impl ModelFacts {
    /// Checks that a vector fits: it is bound to its model's digest and shape.
    pub(crate) fn check(
        &self,
        name: &str,
        vector: &ResolvedVector,
        values: &[f32],
    ) -> Result<(), Refusal> {
        let name = || name.to_owned();
        if vector.model_digest != self.digest {
            return Err(Refusal::OtherModel {
                vector: name(),
                extracted_from: vector.model_digest.short().to_owned(),
                served: self.digest.short().to_owned(),
            });
        }
        if vector.layer.0 > self.layers {
            let (layer, layers) = (vector.layer, self.layers);
            return Err(Refusal::LayerMissing { vector: name(), layer, layers });
        }
        if values.len() != self.hidden {
            let (width, hidden) = (values.len(), self.hidden);
            return Err(Refusal::WrongWidth { vector: name(), width, hidden });
        }
        if !is_usable(values) {
            return Err(Refusal::Unusable { vector: name() });
        }
        Ok(())
    }
}

/// Whether values can be projected on and steered with.
#[allow(clippy::cast_possible_truncation, reason = "the limit is a small integer")]
fn is_usable(values: &[f32]) -> bool {
    let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let steerable = values.iter().all(|value| (value * Coefficient::LIMIT as f32).is_finite());
    norm.is_finite() && norm != 0.0 && steerable
}
