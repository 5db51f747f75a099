//! What every part of the sidecar shares.

use super::active_model::ActiveModel;
use super::message::clip;
use super::model_state::{ModelState, Snapshot};
use crate::audit::{self, Log, Logs};
use crate::connections::ConnectionCounts;
use crate::report::{Ledger, ProcessKey};
use crate::telemetry::Metrics;
use crate::telemetry::labels::ReloadResult;
use personaguard_wire::{AuditLog, LogHead, SidecarReport};
use std::sync::Arc;
use tokio::sync::watch;

/// What every part of the sidecar shares.
#[derive(Debug)]
pub struct AppState {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Counts for the operator.
    pub ledger: Arc<Ledger>,
    /// Logs on disk.
    pub logs: Logs,
    /// The key of this process, by which the operator knows its reports.
    pub key: Arc<ProcessKey>,
    /// Connections of the pod beside those to this sidecar.
    pub connections: Arc<ConnectionCounts>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Default for AppState {
    fn default() -> Self {
        Self::new(Logs::default())
    }
}

impl AppState {
    /// A sidecar that has not read its config yet.
    #[must_use]
    pub fn new(logs: Logs) -> Self {
        Self {
            logs,
            metrics: Arc::default(),
            ledger: Arc::default(),
            key: Arc::default(),
            connections: Arc::default(),
            snapshot: watch::Sender::default(),
        }
    }

    /// What is loaded and in force now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Follows [`Self::snapshot`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// The model, if it serves.
    #[must_use]
    pub fn active_model(&self) -> Option<Arc<ActiveModel>> {
        match &self.snapshot.borrow().model {
            ModelState::Ready(model) => Some(Arc::clone(model)),
            ModelState::Loading | ModelState::Failed(_) => None,
        }
    }

    /// The metrics as text. Gauges and the counters of the logs are read now.
    #[must_use]
    pub fn encode_metrics(&self) -> String {
        for (name, log) in self.logs.named() {
            self.metrics.process.set_log(name, log.written(), log.lost(), log.gaps());
        }
        let engine = self.active_model().map(|model| model.engine.clone());
        let engine = engine.as_ref();
        let (running, waiting) =
            engine.map_or((0, 0), |engine| (engine.running(), engine.waiting()));
        self.metrics.process.set_requests(running, waiting);
        let (bytes, limit) = engine.map_or((0, 0), |engine| (engine.kv_bytes(), engine.kv_limit()));
        self.metrics.process.set_kv_cache(bytes, limit);
        self.metrics.encode()
    }

    /// The id of this process.
    #[must_use]
    pub fn instance(&self) -> String {
        self.key.instance()
    }

    /// The report to the operator as of now, with sequence number 0.
    #[must_use]
    pub fn report(&self) -> SidecarReport {
        let snapshot = self.snapshot();
        let (totals, traits) = self.ledger.read();
        SidecarReport {
            instance: self.instance(),
            sequence: 0,
            model: snapshot.observation(),
            policies: snapshot.acknowledgements(),
            config_error: snapshot.config_error.clone(),
            totals,
            connections: self.connections.read(),
            traits,
            audit_log: self.logs.audit.as_ref().and_then(audit_log),
        }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
        self.metrics.process.set_model_ready(self.active_model().is_some());
        self.ledger.notify();
    }

    pub(super) fn config_applied(&self) {
        self.metrics.process.count_reload(ReloadResult::Applied);
        self.update(|snapshot| snapshot.config_error = None);
    }

    pub(super) fn config_rejected(&self, error: &str) {
        self.metrics.process.count_reload(ReloadResult::Rejected);
        self.update(|snapshot| snapshot.config_error = Some(clip(error)));
    }
}

/// Where the audit log stands.
fn audit_log(log: &Log) -> Option<AuditLog> {
    let head =
        |head: &audit::Head| Some(LogHead { sequence: head.seq, hash: head.hash.parse().ok()? });
    Some(AuditLog { opened: head(log.opened())?, head: head(&log.head())?, gaps: log.gaps() })
}
