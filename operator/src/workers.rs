//! The workers: they take due keys from the queue and reconcile them, a few at a time.

use crate::context::{Context, Queue};
use crate::fleet::{self, Fleet};
use crate::keys::Key;
use crate::outcome::{Done, ReconcileError};
use crate::{model, policy, screen, unreadable, vector};
use personaguard_api::with_causes;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// Reconciliations at the same time.
const PLACES: usize = 4;
/// One that takes longer leaves its place to others and goes on beside them: it waits for an
/// answer.
const SLOW_AFTER: Duration = Duration::from_secs(2);
/// Reconciliations at the same time, with those that are slow.
const MAX_RUNNING: usize = 64;

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
    /// Runs for ever. Returns only if a reconciliation panics.
    pub(crate) async fn run(self) {
        let shared = Arc::new(self);
        let queue = &shared.context.queue;
        dispatch(queue, |key| {
            let shared = Arc::clone(&shared);
            async move { shared.work(key).await }
        })
        .await;
    }

    async fn work(&self, key: Key) {
        let Context { queue, metrics, .. } = self.context.as_ref();
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
                metrics.reconciled(kind, error.reason(), seconds);
                let retry_in_ms = queue.failed(&key).as_millis();
                let error = with_causes(&error);
                tracing::warn!(kind, ?key, error, retry_in_ms, "a reconciliation failed");
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
            Key::Unreadable { kind, name } => {
                unreadable::reconcile(&self.context, *kind, name).await
            }
        }
    }
}

/// Works on keys as they become due, a few at a time. Requests that hang take no place for long.
/// Returns only if work panics.
async fn dispatch<K, F>(queue: &Queue<K>, work: impl Fn(K) -> F)
where
    K: Clone + Eq + Hash + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PLACES));
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = running.join_next() => {
                if ended.is_err() {
                    return;
                }
            }
            (key, place) = next(queue, &places), if running.len() < MAX_RUNNING => {
                running.spawn(hold_place(work(key), place));
            }
        }
    }
}

async fn next<K: Clone + Eq + Hash>(
    queue: &Queue<K>,
    places: &Arc<Semaphore>,
) -> (K, Option<OwnedSemaphorePermit>) {
    // Fails only if the semaphore is closed, and nobody closes it.
    let place = Arc::clone(places).acquire_owned().await.ok();
    (queue.next().await, place)
}

async fn hold_place(work: impl Future<Output = ()>, place: Option<OwnedSemaphorePermit>) {
    tokio::pin!(work);
    if tokio::time::timeout(SLOW_AFTER, &mut work).await.is_err() {
        drop(place);
        work.await;
    }
}

#[cfg(test)]
mod tests;
