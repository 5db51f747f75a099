//! How a reconciliation ends, and how a write to the API server fails.

use personaguard_api::conditions::reason;
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
    #[error("a read from the API server failed")]
    Read(#[from] kube::Error),
    #[error("an object could not be built: {0}")]
    Build(String),
}

impl ReconcileError {
    /// Whether the API server refused a write, as it may go on doing.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Write(error) if error.refusal().is_some())
    }

    /// Label of the metric.
    pub(crate) fn reason(&self) -> &'static str {
        if self.is_refused() { reason::WRITE_REFUSED } else { reason::API_ERROR }
    }
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
    #[error("writing {object} failed")]
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
        let Self::Api { source: kube::Error::Api(status), .. } = self else { return false };
        status.code == 404 && self.refusal().is_none()
    }
}

impl WriteError {
    /// What the API server refused, and why: a quota, say, or an admission webhook. `None` if it
    /// could not be asked, or if another write was faster.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self {
            Self::Api { object, source: kube::Error::Api(status) } => {
                // Webhooks answer with a code of their choice.
                let by_admission = status.message.contains("denied the request");
                let lasts = by_admission || ![404, 409].contains(&status.code);
                lasts.then(|| format!("{object}: {}", status.message))
            }
            _ => None,
        }
    }
}

/// Writes that failed in one reconciliation, which goes on with the others.
#[derive(Debug, Default)]
pub(crate) struct FailedWrites(Vec<WriteError>);

impl FailedWrites {
    /// What was written; a failure is kept. Without the Lease nothing more can be written.
    pub(crate) fn keep<T>(
        &mut self,
        result: Result<T, WriteError>,
    ) -> Result<Option<T>, NotLeader> {
        match result {
            Ok(written) => Ok(Some(written)),
            Err(WriteError::NotLeader(error)) => Err(error),
            Err(error) => {
                self.0.push(error);
                Ok(None)
            }
        }
    }

    /// The first that the API server refused.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.0.iter().find_map(WriteError::refusal)
    }

    /// Fails if a write did.
    pub(crate) fn into_result(self) -> Result<(), WriteError> {
        self.0.into_iter().next().map_or(Ok(()), Err)
    }
}

/// This process does not lead, or cannot be sure that it does.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not hold the leader's Lease")]
pub(crate) struct NotLeader;
