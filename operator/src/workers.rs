//! The workers: they take due keys from the queue and reconcile them, a few at a time.

use crate::context::Context;
use crate::fleet::{self, Fleet};
use crate::keys::Key;
use crate::outcome::{Done, ReconcileError};
use crate::{model, policy, screen, vector};
use personaguard_api::conditions::reason;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tracing::Instrument as _;

const WORKERS: usize = 4;

/// One controller for each kind of key.
pub(crate) struct Workers {
    pub(crate) context: Arc<Context>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) policies: policy::Controller,
    pub(crate) vectors: Arc<vector::Controller>,
    pub(crate) screens: screen::Controller,
    pub(crate) reports: fleet::Controller,
}

impl Workers {
    /// Runs for ever. Returns only if a worker panics.
    pub(crate) async fn run(self) {
        let shared = Arc::new(self);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move { shared.work().await });
        }
        workers.join_next().await;
    }

    async fn work(&self) {
        let Context { queue, metrics, .. } = self.context.as_ref();
        loop {
            let key = queue.next().await;
            let kind = key.kind();
            let name = format!("reconcile {kind}");
            let span = tracing::info_span!("reconcile", kind, ?key, "otel.name" = name);
            let started = Instant::now();
            let result = self.reconcile(&key).instrument(span).await;
            let seconds = started.elapsed().as_secs_f64();
            match result {
                Ok(done) => {
                    metrics.reconciled(kind, &done.reason, seconds);
                    queue.done(&key, done.requeue_after);
                }
                Err(error) => {
                    metrics.reconciled(kind, reason::API_ERROR, seconds);
                    let retry_in_ms = queue.failed(&key).as_millis();
                    tracing::warn!(kind, ?key, %error, retry_in_ms, "a reconciliation failed");
                }
            }
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Done, ReconcileError> {
        match key {
            Key::Scope(scope) => self.policies.reconcile(scope).await,
            Key::Vector(name) => self.vectors.reconcile(name).await,
            Key::Model(name) => model::reconcile(&self.context, &self.fleet, name).await,
            Key::Screen(name) => self.screens.reconcile(name).await,
            Key::Report(name) => self.reports.reconcile(name).await,
            Key::Owner { namespace, owner } => self.reports.resolve_owner(namespace, owner).await,
        }
    }
}
