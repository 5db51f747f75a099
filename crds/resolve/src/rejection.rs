//! Why a policy is not enforced.

/// Why a policy is not enforced: a reason of [`personaguard_api::conditions::reason`], and a
/// sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// CamelCase reason.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Rejection {
    /// A rejection.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
