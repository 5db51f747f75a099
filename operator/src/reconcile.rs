//! Workers: what is due is reconciled, a few keys at a time, and what came of it is logged and
//! counted.

use crate::cluster::WriteError;
use crate::context::{Context, Key};
use crate::{fleet, model, policy, screen, vector};
use personaguard_api::conditions::reason;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument as _;

/// Keys that are reconciled at the same time.
const WORKERS: usize = 4;

/// A reconciliation that ended as it should.
#[derive(Debug, PartialEq)]
pub(crate) struct Done {
    /// For metrics: a condition reason.
    pub(crate) outcome: String,
    /// When to look again, without anything having happened.
    pub(crate) again: Option<Duration>,
}

impl Done {
    pub(crate) fn idle(outcome: &str) -> Self {
        Self { outcome: outcome.to_owned(), again: None }
    }
}

/// A reconciliation to be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the API server did not answer: {0}")]
    Read(#[from] kube::Error),
    #[error("{0}")]
    Build(String),
}

impl From<crate::leader::NotLeader> for Failed {
    fn from(error: crate::leader::NotLeader) -> Self {
        Self::Write(WriteError::Fenced(error))
    }
}

/// Works for ever; returns only if a worker panicked.
pub(crate) async fn run(context: Arc<Context>) {
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(Arc::clone(&context)));
    }
    workers.join_next().await;
}

async fn work(context: Arc<Context>) {
    loop {
        let key = context.queue.next().await;
        let span = tracing::info_span!("reconcile", kind = key.kind(), key = ?key, "otel.name" = format!("reconcile {}", key.kind()));
        let started = Instant::now();
        let result = reconcile(&context, &key).instrument(span).await;
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(done) => {
                context.metrics.reconciled(key.kind(), &done.outcome, seconds);
                context.queue.done(&key, done.again);
            }
            Err(error) => {
                context.metrics.reconciled(key.kind(), reason::API_ERROR, seconds);
                let again = context.queue.failed(&key);
                tracing::warn!(kind = key.kind(), ?key, %error, again_in_ms = again.as_millis(), "a reconciliation failed");
            }
        }
    }
}

async fn reconcile(context: &Context, key: &Key) -> Result<Done, Failed> {
    match key {
        Key::Scope(scope) => policy::reconcile(context, scope).await,
        Key::Vector(name) => vector::reconcile(context, name).await,
        Key::Model(name) => model::reconcile(context, name).await,
        Key::Screen(namespace, name) => screen::reconcile(context, namespace, name).await,
        Key::Report(namespace, name) => fleet::reconcile(context, namespace, name).await,
        Key::Owner(namespace, owner) => fleet::resolve_owner(context, namespace, owner).await,
    }
}
