//! Whose a push is.

/// A pod that proved which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodIdentity {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}
