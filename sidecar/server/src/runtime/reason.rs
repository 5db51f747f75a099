//! Condition reasons of what goes wrong in a sidecar.

use personaguard_crds::conditions::reason;
use personaguard_guard::Refusal;
use personaguard_model::LoadError;

/// Why a trait is refused.
pub(super) fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::VectorMissing { .. } => reason::VECTOR_NOT_FOUND,
        Refusal::ValuesMissing { .. } => reason::ARTIFACT_NOT_FOUND,
        Refusal::ValuesChanged { .. } => reason::DIGEST_MISMATCH,
        Refusal::OtherModel { .. } | Refusal::WrongWidth { .. } => reason::MODEL_MISMATCH,
        Refusal::LayerMissing { .. } => reason::LAYER_MISSING,
        Refusal::Unusable { .. } => reason::ARTIFACT_INVALID,
        Refusal::TooManyChanges { .. } | Refusal::ConditionTooLate { .. } => {
            reason::ACTION_INCOMPLETE
        }
    }
}

/// Why weights cannot be served.
pub(super) fn of_load_error(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotFound { .. } => reason::WEIGHTS_NOT_FOUND,
        LoadError::Io { .. } | LoadError::Corrupt { .. } => reason::WEIGHTS_INVALID,
        LoadError::DigestMismatch { .. } => reason::DIGEST_MISMATCH,
        LoadError::Unsupported { .. } | LoadError::Options { .. } => reason::MODEL_UNSUPPORTED,
    }
}

#[cfg(test)]
mod tests;
