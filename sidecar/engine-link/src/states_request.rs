//! A request whose mean states are wanted.

use super::link::EngineLink;
use super::states_inbox::{Coming, ToldStates};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A request whose states are waited for, until it is dropped.
#[derive(Debug)]
pub struct StatesRequest {
    id: String,
    link: Arc<EngineLink>,
    coming: Arc<watch::Sender<Coming>>,
}

/// Why no states come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStates {
    /// The plugin is gone.
    #[error("the plugin in vLLM is gone: vLLM has ended, or another process took its socket")]
    Lost,
    /// Nothing came.
    #[error("the plugin in vLLM did not tell the states of a request in time: see vLLM's log")]
    TimedOut,
}

impl StatesRequest {
    /// One more request, for the plan of which it has an id.
    #[must_use]
    pub fn new(link: &Arc<EngineLink>) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let coming = link.states().register(&id);
        Self { id, link: Arc::clone(link), coming }
    }

    /// How the plugin calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until its states have been told, those of a response too if it has one.
    ///
    /// # Errors
    /// See [`NoStates`].
    pub async fn told(
        &self,
        has_response: bool,
        longest: Duration,
    ) -> Result<ToldStates, NoStates> {
        let is_complete = |told: &ToldStates| {
            told.prompt_mean.is_some()
                && told.prompt_last.is_some()
                && (told.response_mean.is_some() || !has_response)
        };
        let mut coming = self.coming.subscribe();
        let waiting = coming.wait_for(|coming| coming.is_lost || is_complete(&coming.told));
        let told = match tokio::time::timeout(longest, waiting).await {
            Ok(Ok(coming)) => coming.told.clone(),
            // The sender is held here.
            Ok(Err(_)) | Err(_) => return Err(NoStates::TimedOut),
        };
        if is_complete(&told) { Ok(told) } else { Err(NoStates::Lost) }
    }
}

impl Drop for StatesRequest {
    fn drop(&mut self) {
        self.link.states().forget(&self.id);
    }
}
