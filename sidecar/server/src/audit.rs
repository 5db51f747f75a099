//! Logs on disk: one that says what was decided about each response and holds no text, and one of
//! conversations, where a policy asks for it.
//!
//! - [`chain`]: lines that hang together by hashes (pure).
//! - [`Log`]: a file of such lines, written by a thread of its own, bounded and rotated.
//! - [`entry`]: what the lines say.
//! - [`verify`]: finds any edit, gap, truncation or reordering.

pub mod chain;
pub mod entry;
mod files;
mod log;
mod verify;

pub use files::Limits;
pub use log::{Log, LogError};
pub use verify::{Verified, VerifyError, verify};

/// The logs of a sidecar.
#[derive(Debug, Default)]
pub struct Logs {
    /// Without text: scores and decisions.
    pub audit: Option<Log>,
    /// Word for word.
    pub conversations: Option<Log>,
}

impl Logs {
    /// Each log that there is, with its name as a metric label.
    pub fn named(&self) -> impl Iterator<Item = (&Log, &'static str)> {
        self.audit
            .iter()
            .map(|log| (log, "audit"))
            .chain(self.conversations.iter().map(|log| (log, "conversations")))
    }

    /// Writes what is left.
    pub fn close(&self) {
        self.named().for_each(|(log, _)| log.close());
    }
}
