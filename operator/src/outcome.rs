//! How a reconciliation ends, and how a write to the API server fails.

use std::time::Duration;

/// A reconciliation that succeeded.
#[derive(Debug, PartialEq)]
pub(crate) struct Done {
    /// Label of the metric: a condition reason.
    pub(crate) reason: String,
    /// When to reconcile again, even if nothing happens until then.
    pub(crate) requeue_after: Option<Duration>,
}

impl Done {
    /// Nothing to do until something changes.
    pub(crate) fn until_change(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), requeue_after: None }
    }
}

/// A reconciliation that failed. It is retried with backoff.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("a read from the API server failed: {0}")]
    Read(#[from] kube::Error),
    #[error("an object could not be built: {0}")]
    Build(String),
}

impl From<NotLeader> for ReconcileError {
    fn from(error: NotLeader) -> Self {
        Self::Write(error.into())
    }
}

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// This process no longer leads.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The API server refused the write, or could not be reached.
    #[error("writing {object} failed: {source}")]
    Api {
        /// Kind and name.
        object: String,
        source: kube::Error,
    },
}

impl WriteError {
    /// The object cannot become what was written: it is immutable, for example.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 422)
    }

    /// The object does not exist (any more).
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 404)
    }
}

/// This process does not lead, or cannot be sure that it does.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not hold the leader's Lease")]
pub(crate) struct NotLeader;
