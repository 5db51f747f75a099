//! Whether the API server answers. A leader that gets no answers does no work, and is to let
//! another lead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For how long no request of a class may be answered.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// What a request asks for. One class may be answered while another is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Read,
    /// Ends when the API server ends it.
    Watch,
    Write,
}

/// Shared by the client and those who ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiHealth(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    reads: Unanswered,
    writes: Unanswered,
}

/// Requests without an answer since the last one that had one.
#[derive(Debug, Default)]
struct Unanswered {
    first_sent: Option<Instant>,
    last_given_up: Option<Instant>,
}

impl ApiHealth {
    /// Any answer counts, also a refusal.
    pub(super) fn answered(&self, class: Class) {
        *self.lock().of(class) = Unanswered::default();
    }

    pub(super) fn unanswered(&self, class: Class, sent: Instant) {
        let mut inner = self.lock();
        let unanswered = inner.of(class);
        unanswered.first_sent.get_or_insert(sent);
        unanswered.last_given_up = Some(Instant::now());
    }

    /// For how long no request has been answered, if that is too long. A single one that was lost
    /// is no evidence.
    pub(crate) fn stalled(&self) -> Option<Duration> {
        let inner = self.lock();
        let stalled = [&inner.reads, &inner.writes]
            .into_iter()
            .filter_map(|unanswered| Some(unanswered.last_given_up? - unanswered.first_sent?));
        stalled.max().filter(|stalled| *stalled >= STALLED_AFTER)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn of(&mut self, class: Class) -> &mut Unanswered {
        match class {
            Class::Read | Class::Watch => &mut self.reads,
            Class::Write => &mut self.writes,
        }
    }
}
