//! States that have come and wait for whoever asked for them.

use super::message::{States, StatesOf};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A mean over tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeanState {
    /// How many tokens.
    pub tokens: usize,
    /// `[layer][hidden]`, from the embedding output on.
    pub layers: Vec<Vec<f32>>,
}

/// What has been told of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToldStates {
    /// Over the tokens of the prompt.
    pub prompt_mean: Option<MeanState>,
    /// At its last token.
    pub prompt_last: Option<MeanState>,
    /// Over the tokens of the response. There is none where it is empty.
    pub response_mean: Option<MeanState>,
}

/// What has come for one request.
#[derive(Debug, Default)]
pub(super) struct Coming {
    pub(super) told: ToldStates,
    /// The plugin is gone.
    pub(super) is_lost: bool,
}

/// The requests whose states are waited for.
#[derive(Debug, Default)]
pub(super) struct StatesInbox {
    requests: Mutex<HashMap<String, Arc<watch::Sender<Coming>>>>,
}

impl StatesInbox {
    pub(super) fn register(&self, id: &str) -> Arc<watch::Sender<Coming>> {
        let coming = Arc::<watch::Sender<Coming>>::default();
        self.lock().insert(id.to_owned(), Arc::clone(&coming));
        coming
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    pub(super) fn take(&self, states: &States<'_>) {
        // One that nobody waits for any more, or never did.
        let Some(coming) = self.lock().get(&states.id).cloned() else { return };
        let layers = states.values.chunks_exact(states.hidden * size_of::<f32>()).map(floats);
        let mean = MeanState { tokens: states.tokens, layers: layers.collect() };
        coming.send_modify(|coming| {
            let place = match states.of {
                StatesOf::PromptMean => &mut coming.told.prompt_mean,
                StatesOf::PromptLast => &mut coming.told.prompt_last,
                StatesOf::ResponseMean => &mut coming.told.response_mean,
            };
            *place = Some(mean);
        });
    }

    /// None of the requests gets more.
    pub(super) fn lose_all(&self) {
        for coming in self.lock().values() {
            coming.send_modify(|coming| coming.is_lost = true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<watch::Sender<Coming>>>> {
        // What it holds is valid after each statement.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn floats(row: &[u8]) -> Vec<f32> {
    let (numbers, _) = row.as_chunks();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
