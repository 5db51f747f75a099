//! The logs of a sidecar.

use super::log::Log;

/// The logs of a sidecar.
#[derive(Debug, Default)]
pub struct Logs {
    /// Scores and decisions, without text.
    pub audit: Option<Log>,
    /// Conversations, word for word.
    pub conversations: Option<Log>,
}

impl Logs {
    /// Each log that there is, with its name as a metric label.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Log)> {
        let logs = [("audit", &self.audit), ("conversations", &self.conversations)];
        logs.into_iter().filter_map(|(name, log)| Some((name, log.as_ref()?)))
    }

    /// Whether there is an audit log that cannot be written at present.
    #[must_use]
    pub fn is_audit_failing(&self) -> bool {
        self.audit.as_ref().is_some_and(Log::is_failing)
    }

    /// Writes what is left.
    pub fn close(&self) {
        self.named().for_each(|(_, log)| log.close());
    }
}
