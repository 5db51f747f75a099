//! What a sidecar says of the policies that it was given.

use personaguard_terms::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something is not served.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// CamelCase reason.
    pub reason: String,
    /// A sentence that says what to do. Never prompt or response text.
    pub message: String,
}

/// A policy that a sidecar enforces.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyAcknowledgement {
    /// Name of the policy.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Generation that is in force.
    pub generation: i64,
    /// Digest of all that the policy resolved to, as it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    // the rule of a digest would cost too much in an unbounded list
    pub digest: Option<Digest>,
    /// Traits of it that this sidecar refuses to serve, by vector name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTrait>,
    /// Vectors of it that were made on the same weights, served in another way than now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleVector>,
}

/// A vector whose calibration may not fit how the model is served.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaleVector {
    /// Name of the vector.
    pub vector: String,
    /// What it was made on, and what is served.
    pub difference: String,
}

/// A trait that a sidecar refuses to serve.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedTrait {
    /// Name of the vector.
    pub vector: String,
    /// Why.
    pub failure: Failure,
}
