//! Why a request may not have what it asks for.

/// Why a request may not have what it asks for. Messages name policies and vectors, and nothing
/// else of the request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OverrideError {
    /// No policy on this service measures the vector.
    #[error("no policy on this service has a trait `{0}`")]
    UnknownTrait(String),
    /// The policy does not let callers ask for this.
    #[error("policy `{policy}` does not let callers set `{field}` of `{vector}`")]
    NotAllowed {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// The field.
        field: &'static str,
    },
    /// The threshold is looser than the policy's.
    #[error(
        "`{field}` of `{vector}` is looser than policy `{policy}`: callers may only make it \
         stricter"
    )]
    Looser {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// The field.
        field: &'static str,
    },
    /// The coefficient is outside the policy's range.
    #[error("the coefficient of `{vector}` must lie from {min} to {max} by policy `{policy}`")]
    Coefficient {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// Lowest that is allowed.
        min: f64,
        /// Highest that is allowed.
        max: f64,
    },
}
