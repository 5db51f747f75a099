//! Metrics of the process: model, config, logs and reports.

use super::register::register;
use crate::telemetry::labels::{PushResult, ReloadResult};
use personaguard_terms::metrics::sidecar as names;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    log: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabel {
    log: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    result: PushResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: ReloadResult,
}

/// Metrics of the process.
#[derive(Debug)]
pub struct ProcessMetrics {
    model_ready: Gauge,
    requests_running: Gauge,
    requests_waiting: Gauge,
    config_reloads: Family<ReloadLabels, Counter>,
    report_pushes: Family<PushLabels, Counter>,
    log_records: Family<LogLabels, Counter>,
    log_gaps: Family<LogLabel, Gauge>,
    kv_cache: Gauge,
    kv_cache_limit: Gauge,
    setting_log_records: Mutex<()>,
}

impl ProcessMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let metrics = Self {
            model_ready: register(
                r,
                names::MODEL_READY,
                "1 while the model serves",
                Gauge::default(),
            ),
            requests_running: register(
                r,
                names::REQUESTS_RUNNING,
                "Requests that are running",
                Gauge::default(),
            ),
            requests_waiting: register(
                r,
                names::REQUESTS_WAITING,
                "Requests that are waiting to run",
                Gauge::default(),
            ),
            config_reloads: register(
                r,
                names::CONFIG_RELOADS,
                "Changes of the config folder, by result",
                Family::default(),
            ),
            report_pushes: register(
                r,
                names::REPORTS,
                "Pushes to the operator, by result",
                Family::default(),
            ),
            log_records: register(
                r,
                names::LOG_RECORDS,
                "Records of the logs on disk, by result",
                Family::default(),
            ),
            log_gaps: register(
                r,
                names::LOG_GAPS,
                "Gaps that a log on disk tells of",
                Family::default(),
            ),
            kv_cache: register(
                r,
                names::KV_CACHE,
                "Bytes of the KV cache in memory",
                Gauge::default(),
            ),
            kv_cache_limit: register(
                r,
                names::KV_CACHE_LIMIT,
                "Bytes that the KV cache may take",
                Gauge::default(),
            ),
            setting_log_records: Mutex::default(),
        };
        for result in ReloadResult::ALL {
            drop(metrics.config_reloads.get_or_create(&ReloadLabels { result: *result }));
        }
        for result in PushResult::ALL {
            drop(metrics.report_pushes.get_or_create(&PushLabels { result: *result }));
        }
        metrics
    }

    /// Whether the model serves.
    pub fn set_model_ready(&self, ready: bool) {
        self.model_ready.set(i64::from(ready));
    }

    /// Requests that are running and waiting.
    pub fn set_requests(&self, running: usize, waiting: usize) {
        self.requests_running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.requests_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A change of the config folder was applied or rejected.
    pub fn count_reload(&self, result: ReloadResult) {
        self.config_reloads.get_or_create(&ReloadLabels { result }).inc();
    }

    /// A push to the operator ended.
    pub fn count_push(&self, result: PushResult) {
        self.report_pushes.get_or_create(&PushLabels { result }).inc();
    }

    /// What the KV cache takes, and what it may take, in bytes.
    pub fn set_kv_cache(&self, bytes: usize, limit: usize) {
        self.kv_cache.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.kv_cache_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Records of a log so far, and the gaps that it tells of.
    pub fn set_log(&self, log: &'static str, written: u64, lost: u64, gaps: u64) {
        let gauge = self.log_gaps.get_or_create(&LogLabel { log });
        gauge.set(i64::try_from(gaps).unwrap_or(i64::MAX));
        // Two readers at once must not both add what is missing.
        let _lock = self.setting_log_records.lock().unwrap_or_else(PoisonError::into_inner);
        for (result, total) in [("written", written), ("lost", lost)] {
            let counter = self.log_records.get_or_create(&LogLabels { log, result });
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}
