//! Metrics of the plugin in the model server (placement Engine).

use super::register::register;
use personaguard_terms::metrics::sidecar as names;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What the plugin has counted.
#[derive(Debug)]
pub struct EngineMetrics {
    foreign: Counter,
    dropped: Counter,
}

impl EngineMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            foreign: register(
                registry,
                names::ENGINE_FOREIGN,
                "Requests that reached the engine past the sidecar",
                Counter::default(),
            ),
            dropped: register(
                registry,
                names::ENGINE_DROPPED,
                "Messages of the plugin that were lost because the sidecar did not read in time",
                Counter::default(),
            ),
        }
    }

    /// Requests passed the sidecar by.
    pub fn count_foreign(&self, requests: u64) {
        self.foreign.inc_by(requests);
    }

    /// Messages were lost.
    pub fn count_dropped(&self, messages: u64) {
        self.dropped.inc_by(messages);
    }
}
