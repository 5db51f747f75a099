//! What a sidecar acknowledges to enforce, and what it refuses.

use crate::invalid::Invalid;
use crate::limits::{MAX_MESSAGE, MAX_NAME, MAX_REASON, MAX_REFUSED, is_count, is_name, is_uid};
use personaguard_terms::Digest;
use serde::{Deserialize, Serialize};

/// A policy that a sidecar enforces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyAcknowledgement {
    /// Name of the policy.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The generation in force.
    pub generation: i64,
    /// Digest of everything the policy resolved to, as it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Traits of the policy that this sidecar refuses to enforce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTrait>,
    /// Vectors of the policy that were made on the same weights, served in another way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleVector>,
}

/// A vector whose calibration may not fit how the model is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaleVector {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// A clause that says what it was made on, and what is served.
    pub difference: String,
}

/// A trait that a sidecar refuses to enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedTrait {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// Why.
    pub failure: Failure,
}

/// Why something cannot be served or enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// A reason of [`personaguard_terms::conditions::reason`].
    pub reason: String,
    /// A sentence that says what to do. Never text of a prompt or a response.
    pub message: String,
}

impl PolicyAcknowledgement {
    /// Checks names and lengths.
    ///
    /// # Errors
    /// If no sidecar would send it.
    pub fn validate(&self) -> Result<(), Invalid> {
        let valid = is_name(&self.name, MAX_NAME)
            && is_uid(&self.uid)
            && u64::try_from(self.generation).is_ok_and(is_count)
            && self.refused.len() <= MAX_REFUSED
            && self.refused.iter().all(RefusedTrait::is_valid)
            && self.stale.len() <= MAX_REFUSED
            && self.stale.iter().all(StaleVector::is_valid);
        if valid { Ok(()) } else { Err(Invalid::Policy) }
    }
}

impl StaleVector {
    fn is_valid(&self) -> bool {
        is_name(&self.vector, MAX_NAME) && self.difference.len() <= MAX_MESSAGE
    }
}

impl RefusedTrait {
    fn is_valid(&self) -> bool {
        is_name(&self.vector, MAX_NAME) && self.failure.is_bounded()
    }
}

impl Failure {
    pub(crate) fn is_bounded(&self) -> bool {
        self.reason.len() <= MAX_REASON && self.message.len() <= MAX_MESSAGE
    }
}
