//! Limits on what a client may keep busy.

use super::body_budget::BodyBudget;
use std::time::Duration;

/// Limits on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request body in bytes.
    pub body_bytes: usize,
    /// Memory for all bodies together.
    pub bodies: BodyBudget,
    /// Longest wait for a complete body.
    pub body_time: Duration,
    /// Longest wait for the head of a request, on a new connection or between requests.
    pub head_time: Duration,
    /// Longest time that a client which has to take in an answer takes nothing of it.
    pub write_time: Duration,
    /// Connections at the same time. One more takes the place of one that waits for its client; if
    /// all are being answered, it is closed.
    pub connections: usize,
}

impl Limits {
    /// Memory for all bodies together, in bytes.
    pub const BODIES: usize = 64 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            bodies: BodyBudget::new(Self::BODIES),
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
            write_time: Duration::from_secs(60),
            connections: 2048,
        }
    }
}

impl Limits {
    /// The same, with this longest body where it is given.
    pub(crate) fn with_body_bytes(self, body_bytes: Option<usize>) -> Self {
        Self { body_bytes: body_bytes.unwrap_or(self.body_bytes), ..self }
    }
}
