//! From the kinds to what a sidecar enforces: a pure function that the operator and `personaguard serve` share.

use crate::guard_config::{GuardConfig, ResolvedPolicy};
use crate::quantity::{Digest, Layer};
use crate::vector::Calibration;
use crate::{PersonaModel, PersonaPolicy};
use std::collections::BTreeMap;

/// A `PersonaVector` whose file was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorInput {
    /// The trait.
    pub trait_name: String,
    /// Layer in use.
    pub layer: Layer,
    /// Weight file that the vector was extracted from.
    pub model_digest: Digest,
    /// Raw vector at the layer, shape `[hidden]`.
    pub values: Vec<f32>,
    /// Distribution of `response_avg` over benign traffic.
    pub calibration: Option<Calibration>,
}

/// Why a policy is not enforced: a reason of [`crate::conditions::reason`] and a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// CamelCase reason.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}
