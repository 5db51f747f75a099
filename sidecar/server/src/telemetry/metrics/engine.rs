//! Metrics of the plugin in the model server (placement Engine).

use super::register::register;
use personaguard_engine_link::{Hello, RowFault};
use personaguard_terms::metrics::sidecar as names;
use personaguard_wire::StaleVector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Which plugin in which engine. Of what is not known, the label is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
    vllm: String,
    runner: String,
    dtype: String,
    quantization: String,
}

impl PluginLabels {
    fn of(hello: &Hello) -> Self {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        Self {
            plugin: hello.plugin.clone(),
            vllm: hello.vllm.clone(),
            runner: named(&hello.runner),
            dtype: named(&hello.dtype),
            quantization: named(&hello.quantization),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    reason: &'static str,
}

impl FaultLabels {
    fn of(fault: RowFault) -> Self {
        let reason = match fault {
            RowFault::Gap => "gap",
            RowFault::Other => "other",
            RowFault::TooMany => "too_many",
            RowFault::Lost => "lost",
        };
        Self { reason }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StaleLabels {
    policy: String,
    vector: String,
}

/// What the plugin has counted, whether it is there, and whether vectors were made on what it says
/// is served.
#[derive(Debug)]
pub struct EngineMetrics {
    connected: Family<PluginLabels, Gauge>,
    /// The plugin that last connected.
    last: Mutex<Option<PluginLabels>>,
    row_faults: Family<FaultLabels, Counter>,
    foreign: Counter,
    dropped: Counter,
    stale: Family<StaleLabels, Gauge>,
}

impl EngineMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            connected: register(
                registry,
                names::ENGINE_CONNECTED,
                "1 while the plugin in the engine is connected, 0 once it is gone",
                Family::default(),
            ),
            last: Mutex::default(),
            row_faults: register(
                registry,
                names::ENGINE_ROW_FAULTS,
                "Answers whose scores from the plugin are not all there, by reason",
                Family::default(),
            ),
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
            stale: register(
                registry,
                names::CALIBRATION_STALE,
                "1 where the model is served in another way than the vector was made on",
                Family::default(),
            ),
        }
    }

    /// Which plugin is connected, if one is.
    pub fn set_plugin(&self, hello: Option<&Hello>) {
        // What it holds is valid after each statement.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = hello.map(PluginLabels::of);
        if let Some(now) = now.as_ref().filter(|now| last.as_ref() != Some(now)) {
            // An engine that was started anew, with other settings, takes the place of the old one.
            self.connected.clear();
            *last = Some(now.clone());
        }
        if let Some(last) = &*last {
            self.connected.get_or_create(last).set(i64::from(now.is_some()));
        }
    }

    /// Of each policy, the vectors that were made on the model served in another way.
    pub(crate) fn set_stale(&self, stale: &BTreeMap<String, Vec<StaleVector>>) {
        self.stale.clear();
        for (policy, vectors) in stale {
            for StaleVector { vector, .. } in vectors {
                let labels = StaleLabels { policy: policy.clone(), vector: vector.clone() };
                self.stale.get_or_create(&labels).set(1);
            }
        }
    }

    /// Rows of an answer are missing.
    pub fn count_row_fault(&self, fault: RowFault) {
        self.row_faults.get_or_create(&FaultLabels::of(fault)).inc();
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
