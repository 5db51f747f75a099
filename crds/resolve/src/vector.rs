//! A vector as policies use it.

use crate::rejection::Rejection;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{Calibration, Digest, Layer, PersonaModel, PersonaVector};
use personaguard_wire::MadeOn;
use std::sync::Arc;

/// A `PersonaVector` whose file was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorInput {
    /// The trait.
    pub trait_name: String,
    /// Layer in use.
    pub layer: Layer,
    /// Weight file that the vector was extracted from.
    pub model_digest: Digest,
    /// How those weights were served, where that was not our own engine.
    pub made_on: Option<MadeOn>,
    /// Raw vector at the layer, shape `[hidden]`.
    pub values: Vec<f32>,
    /// The vector at layers 0, 1, …, for steering and caps at several of them.
    pub layers: Arc<[Vec<f32>]>,
    /// Distribution of `response_avg` over benign traffic.
    pub calibration: Option<Calibration>,
    /// At this layer it separates held-out answers no better than vectors made from permuted
    /// labels, and its `PersonaVector` does not allow that.
    pub not_discriminative: bool,
    /// Answers do not follow it at each step of the coefficient, and its `PersonaVector` does not
    /// allow that.
    pub does_not_steer: bool,
}

impl VectorInput {
    /// Checks what a `PersonaVector` says about its file against the file.
    ///
    /// # Errors
    /// If the file is for another trait, or does not have the layer.
    pub fn check(
        vector: &PersonaVector,
        file_trait: &str,
        file_layers: u32,
        layer: Layer,
    ) -> Result<(), Rejection> {
        let name = vector.name_any();
        if file_trait != vector.spec.trait_name {
            let message = format!(
                "the file of PersonaVector `{name}` is for trait `{file_trait}`, not `{}`: correct \
                 spec.trait or the file",
                vector.spec.trait_name
            );
            return Err(Rejection::new(reason::ARTIFACT_INVALID, message));
        }
        if layer.0 == 0 || layer.0 > file_layers {
            let message = format!(
                "PersonaVector `{name}` asks for layer {layer}, and its file has layers 1 to \
                 {file_layers}: correct spec.layer, or leave it out to use the best one"
            );
            return Err(Rejection::new(reason::LAYER_MISSING, message));
        }
        Ok(())
    }

    /// Refuses a vector that was extracted from another weight file.
    ///
    /// # Errors
    /// With reason `ModelMismatch`.
    pub fn belongs_to(&self, name: &str, model: &PersonaModel) -> Result<(), Rejection> {
        if self.model_digest == model.spec.sha256 {
            return Ok(());
        }
        let message = format!(
            "PersonaVector `{name}` was extracted from weights {}…, and PersonaModel `{}` has {}…: \
             extract it from that model",
            self.model_digest.short(),
            model.name_any(),
            model.spec.sha256.short()
        );
        Err(Rejection::new(reason::MODEL_MISMATCH, message))
    }

    /// Refuses a vector that is no better than chance, unless it is allowed to be.
    ///
    /// # Errors
    /// With reason `NotDiscriminative`.
    pub fn discriminates(&self, name: &str) -> Result<(), Rejection> {
        if !self.not_discriminative {
            return Ok(());
        }
        let message = format!(
            "at layer {}, PersonaVector `{name}` separates held-out answers no better than vectors \
             made from permuted labels, so its score would say little: extract it with more \
             rollouts or from a larger model, or set spec.allowNotDiscriminative: true on it",
            self.layer
        );
        Err(Rejection::new(reason::NOT_DISCRIMINATIVE, message))
    }

    /// Refuses to steer by a vector that answers do not follow, unless that is allowed. Its scores
    /// are valid all the same.
    ///
    /// # Errors
    /// With reason `DoesNotSteer`.
    pub fn steers(&self, name: &str) -> Result<(), Rejection> {
        if !self.does_not_steer {
            return Ok(());
        }
        let message = format!(
            "at layer {}, the text of answers does not follow PersonaVector `{name}` at each step \
             of the coefficient (see its status.steering): policies can measure by it, but not \
             steer, cap or regenerate. Extract it with more rollouts or from a larger model, or \
             set spec.allowNotSteering: true on it",
            self.layer
        );
        Err(Rejection::new(reason::DOES_NOT_STEER, message))
    }
}

/// SHA-256 of a layer's values as F32, little-endian.
pub(crate) fn digest_of(values: &[f32]) -> Digest {
    Digest::of(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}
