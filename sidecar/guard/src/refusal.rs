//! Why a trait is not enforced.

use personaguard_terms::Layer;
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;

/// Why a trait is not enforced. Each message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The config names a vector that it does not define.
    #[error("vector `{vector}` is not in the config: let the operator write it again")]
    VectorMissing {
        /// Name of the vector.
        vector: String,
    },
    /// The vector file has no such vector.
    #[error(
        "the vector file of the config folder lacks `{vector}`: let the operator write it again"
    )]
    ValuesMissing {
        /// Name of the vector.
        vector: String,
    },
    /// The vector file has other values than the config names.
    #[error(
        "the values of vector `{vector}` are not those that the config names: let the operator \
         write them again"
    )]
    ValuesChanged {
        /// Name of the vector.
        vector: String,
    },
    /// The vector was extracted from other weights.
    #[error(
        "vector `{vector}` was extracted from weights {extracted_from}…, this sidecar serves \
         {served}…: extract it again from the weights that are served"
    )]
    OtherModel {
        /// Name of the vector.
        vector: String,
        /// The first digits of its model's SHA-256.
        extracted_from: String,
        /// The first digits of the served model's SHA-256.
        served: String,
    },
    /// The model has no such layer.
    #[error(
        "vector `{vector}` is for layer {layer}, the model has {layers}: choose a layer that it \
         has"
    )]
    LayerMissing {
        /// Name of the vector.
        vector: String,
        /// The layer it names.
        layer: Layer,
        /// Number of layers.
        layers: u32,
    },
    /// The model's layers have another width.
    #[error(
        "vector `{vector}` has {width} values, the model's layers have {hidden}: it was made for \
         another model"
    )]
    WrongWidth {
        /// Name of the vector.
        vector: String,
        /// Number of its values.
        width: usize,
        /// Width of the residual stream.
        hidden: usize,
    },
    /// The values cannot be projected on or steered with.
    #[error("vector `{vector}` is zero, not finite or far too long: extract it again")]
    Unusable {
        /// Name of the vector.
        vector: String,
    },
    /// A threshold or another bound is no number, and would never be passed.
    #[error(
        "a threshold or another bound of trait `{vector}` is not a finite number: let the operator \
         write the config again"
    )]
    NotFinite {
        /// Name of the vector.
        vector: String,
    },
    /// The engine takes only so many changes for one request.
    #[error("steering and caps come to more than {limit} changes of the model: use fewer layers")]
    TooManyChanges {
        /// Changes in one plan at most.
        limit: usize,
    },
    /// A steering condition is known only after the layer that it decides about.
    #[error(
        "steering depends on vector `{vector}`, whose layer comes after the one that is steered: \
         choose a vector at a lower layer"
    )]
    ConditionTooLate {
        /// Name of the vector that decides.
        vector: String,
    },
}

impl Refusal {
    /// The condition reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::VectorMissing { .. } => reason::VECTOR_NOT_FOUND,
            Self::ValuesMissing { .. } => reason::ARTIFACT_NOT_FOUND,
            Self::ValuesChanged { .. } => reason::DIGEST_MISMATCH,
            Self::OtherModel { .. } | Self::WrongWidth { .. } => reason::MODEL_MISMATCH,
            Self::LayerMissing { .. } => reason::LAYER_MISSING,
            Self::Unusable { .. } => reason::ARTIFACT_INVALID,
            Self::NotFinite { .. } => reason::THRESHOLD_INVALID,
            Self::TooManyChanges { .. } | Self::ConditionTooLate { .. } => {
                reason::ACTION_INCOMPLETE
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { reason: refusal.reason().to_owned(), message: refusal.to_string() }
    }
}
