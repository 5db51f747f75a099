//! Limits on what a client may keep busy.

use std::time::Duration;

/// Limits on requests and connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request body in bytes.
    pub body_bytes: usize,
    /// Longest wait for a complete body.
    pub body_time: Duration,
    /// Longest wait for the head of a request, on a new connection or between requests.
    pub head_time: Duration,
    /// Connections at the same time. One more takes the place of one that waits for its client; if
    /// all are being answered, it is closed.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            body_time: Duration::from_secs(30),
            head_time: Duration::from_secs(30),
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
