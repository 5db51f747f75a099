//! A response that is on its way under a guard.

use super::answer::Naming;
use super::headers::Asked;
use super::scoring::Scorer;
use super::transcript::Transcript;
use crate::http::BodyBudget;
use std::time::Duration;

/// How a response is treated, settled before it begins.
#[derive(Debug)]
pub(super) struct GuardedExchange {
    pub(super) transcript: Transcript,
    pub(super) scorer: Scorer,
    pub(super) naming: Naming,
    /// Choices that were asked for, over all prompts.
    pub(super) expected: usize,
    /// The client asked for a stream.
    pub(super) is_stream: bool,
    /// Longest silence of the upstream server.
    pub(super) silence: Duration,
    /// What the client said in its headers.
    pub(super) asked: Asked,
    /// Memory for bodies that are held.
    pub(super) bodies: BodyBudget,
}
