//! Who is told of what the plugin counts.

use super::link::Counted;
use std::fmt;

/// Takes the numbers of requests that passed this sidecar by, and of messages that were lost.
pub(super) struct OnCounted(Box<dyn Fn(u64, u64) + Send + Sync>);

impl OnCounted {
    pub(super) fn new(call: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self(Box::new(call))
    }

    pub(super) fn call(&self, counted: Counted) {
        if counted != Counted::default() {
            (self.0)(counted.foreign, counted.dropped);
        }
    }
}

impl fmt::Debug for OnCounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnCounted")
    }
}
