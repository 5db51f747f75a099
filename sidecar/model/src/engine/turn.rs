//! The order within a step.

/// When a request computes, within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It writes a response.
    Decode,
    /// It reads a prompt, or a response that it is given.
    Prefill,
    /// The same, after all others.
    Background,
}
