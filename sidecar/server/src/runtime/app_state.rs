//! What every part of the sidecar shares.

use super::active_model::ActiveModel;
use super::message::clip;
use super::model_state::{ModelState, Snapshot};
use super::served::Served;
use crate::audit::{self, Log, Logs};
use crate::connections::ConnectionCounts;
use crate::report::{Ledger, ProcessKey};
use crate::telemetry::Metrics;
use crate::telemetry::labels::ReloadResult;
use personaguard_terms::{FailurePolicy, Mode};
use personaguard_wire::{AuditLog, GuardConfig, LogHead, SidecarReport};
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

    /// What serves, if anything does.
    #[must_use]
    pub fn served(&self) -> Option<Served> {
        match &self.snapshot.borrow().model {
            ModelState::Ready(served) => Some(served.clone()),
            ModelState::Loading | ModelState::Failed(_) => None,
        }
    }

    /// The model, if our own engine runs it.
    #[must_use]
    pub fn active_model(&self) -> Option<Arc<ActiveModel>> {
        match self.served()? {
            Served::Own(active) => Some(active),
            Served::Linked(_) => None,
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

    /// The plugin in the model server has seen requests that did not come from here, and lost
    /// messages. Where no policy is in force, none passes anything by.
    pub(crate) fn passed_by(&self, foreign: u64, dropped: u64) {
        self.metrics.engine.count_dropped(dropped);
        let guards = |served: Served| !served.in_force().plan.policies.is_empty();
        if foreign == 0 || !self.served().is_none_or(guards) {
            return;
        }
        self.metrics.engine.count_foreign(foreign);
        if self.connections.passed_by(foreign) {
            self.ledger.notify();
        }
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

    /// A config was read that is to be enforced: what happens to traffic until it is.
    pub(super) fn expect(&self, config: &GuardConfig) {
        let policy = failure_policy(config);
        if self.snapshot.borrow().failure_policy != Some(policy) {
            self.update(|snapshot| snapshot.failure_policy = Some(policy));
        }
    }

    /// This serves from now on.
    pub(super) fn put_in_force(&self, served: Served) {
        let in_force = served.in_force();
        in_force.log();
        self.metrics.policies.apply(&in_force.plan);
        self.metrics.engine.set_stale(&in_force.stale);
        self.ledger.apply(&in_force.plan);
        let name = in_force.name.clone();
        self.set_model(&name, ModelState::Ready(served));
    }

    /// How the model of this name stands.
    pub(super) fn set_model(&self, name: &str, model: ModelState) {
        if let ModelState::Failed(failure) = &model {
            tracing::error!(
                model = %name, reason = %failure.reason, error = %failure.message,
                "the model is not served"
            );
        }
        self.update(|snapshot| {
            name.clone_into(&mut snapshot.model_name);
            snapshot.model = model;
        });
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
        self.metrics.process.set_model_ready(self.served().is_some());
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

/// The failure policy of all policies together. One in mode `Audit` changes nothing.
fn failure_policy(config: &GuardConfig) -> FailurePolicy {
    let enforced = config.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
    let unresolved = config.unresolved.iter().map(|policy| policy.failure_policy);
    enforced.map(|policy| policy.failure_policy).chain(unresolved).max().unwrap_or_default()
}

/// Where the audit log stands.
fn audit_log(log: &Log) -> Option<AuditLog> {
    let head =
        |head: &audit::Head| Some(LogHead { sequence: head.seq, hash: head.hash.parse().ok()? });
    Some(AuditLog { opened: head(log.opened())?, head: head(&log.head())?, gaps: log.gaps() })
}
