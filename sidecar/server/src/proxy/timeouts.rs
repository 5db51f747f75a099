//! How long the proxy waits.

use std::time::Duration;

/// Timeouts of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Longest silence of the upstream server while a response is awaited or written.
    pub upstream: Duration,
    /// Longest time for scoring one piece of a response.
    pub score: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { upstream: Duration::from_secs(600), score: Duration::from_secs(10) }
    }
}
