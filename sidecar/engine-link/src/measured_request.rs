//! A request that the plugin measures.

use super::inbox::{Entry, RowFault, Taken, Wanted};
use super::link::EngineLink;
use std::sync::Arc;

/// A request whose rows are waited for, until it is dropped. Unless it has ended by then, the
/// engine is told to end it.
#[derive(Debug)]
pub struct MeasuredRequest {
    id: String,
    link: Arc<EngineLink>,
    entry: Arc<Entry>,
    has_ended: bool,
}

impl MeasuredRequest {
    /// All of its rows count, which are those of this set of vectors.
    #[must_use]
    pub fn new(link: &Arc<EngineLink>, set: u64) -> Self {
        Self::wanting(Wanted::All, link, set)
    }

    /// Of its rows, the one at this position counts.
    #[must_use]
    pub fn at(position: u32, link: &Arc<EngineLink>, set: u64) -> Self {
        Self::wanting(Wanted::At(position), link, set)
    }

    fn wanting(wanted: Wanted, link: &Arc<EngineLink>, set: u64) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let entry = link.inbox().register(&id, set, wanted);
        if link.state().hello.is_none() {
            entry.fail(RowFault::Lost);
        }
        Self { id, link: Arc::clone(link), entry, has_ended: false }
    }

    /// How the plugin calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tokens of its prompt, once a row came.
    #[must_use]
    pub fn prompt_tokens(&self) -> usize {
        self.entry.prompt_tokens()
    }

    /// What has come since the last call.
    #[must_use]
    pub fn take(&self) -> Taken {
        self.link.inbox().taken(&self.entry)
    }

    /// Waits until something has come that was not looked at.
    pub async fn changed(&self) {
        self.entry.changed().await;
    }

    /// Has the plugin say, in [`Taken::synced`], when it has told all that it has measured by now.
    /// False where it does not know how.
    #[must_use]
    pub fn sync(&self) -> bool {
        let knows = self.link.state().hello.is_some_and(|hello| hello.sync);
        if knows {
            self.link.sync(&self.id);
        }
        knows
    }

    /// The model server has said that it wrote everything.
    pub fn has_ended(&mut self) {
        self.has_ended = true;
    }
}

impl Drop for MeasuredRequest {
    fn drop(&mut self) {
        self.link.inbox().forget(&self.id, &self.entry);
        if !self.has_ended {
            self.link.abort(&self.id);
        }
    }
}
