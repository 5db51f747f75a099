//! Weights that are fetched from a model hub before they are loaded.

use super::app_state::AppState;
use super::message::{failure, failure_of};
use super::weights::WeightsKey;
use personaguard_hub::{Event, Fetch, FetchError, Hub, Wanted, distrust};
use personaguard_model::Model;
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Progress is told in so many steps, or where the size is not known, by so many bytes: the
/// operator writes each to a status.
const STEPS: u64 = 10;
const STEP_BYTES: u64 = 256 << 20;

/// Where weights are fetched from that are not there yet.
#[derive(Clone, Debug)]
pub struct WeightsHub {
    /// The hub.
    pub hub: Hub,
    /// What of it.
    pub wanted: Wanted,
    /// The most bytes that the model may have.
    pub max_bytes: Option<u64>,
}

impl WeightsHub {
    /// Fetches the weights unless they are there, and loads them. Blocks, until `stop` at the
    /// latest.
    pub(super) fn fetch_and_load(
        &self,
        key: &WeightsKey,
        app: &AppState,
        stop: &CancellationToken,
    ) -> Result<Arc<Model>, Failure> {
        let folder = self.wanted.folder_of(&key.file).ok_or_else(|| {
            let message = format!(
                "{} does not end in {}, the file that is fetched: correct --model or --hub-file",
                key.file.display(),
                self.wanted.file().unwrap_or_default()
            );
            failure(reason::WEIGHTS_NOT_FETCHED, &message)
        })?;
        let fetched = Handle::current().block_on(async {
            tokio::select! {
                fetched = self.fetch(folder.clone(), key, app) => fetched,
                () = stop.cancelled() => Err(FetchError::Refused("it was stopped".to_owned())),
            }
        });
        app.update(|snapshot| snapshot.fetching = None);
        if let Err(error) = fetched {
            let unfetched = failure_of(reason_of(&error), &error);
            // What somebody else put there is checked as it is loaded.
            let may_be_there = error.is_transient() && key.file.exists();
            return may_be_there.then(|| key.load().ok()).flatten().ok_or(unfetched);
        }
        key.load().inspect_err(|failure| {
            if [reason::WEIGHTS_INVALID, reason::DIGEST_MISMATCH].contains(&failure.reason.as_str())
            {
                // What lies there is not what was fetched.
                distrust(&folder, &self.wanted);
            }
        })
    }

    async fn fetch(
        &self,
        folder: PathBuf,
        key: &WeightsKey,
        app: &AppState,
    ) -> Result<(), FetchError> {
        let fetch = Fetch {
            wanted: self.wanted.clone(),
            folder,
            sha256: Some(key.sha256.to_string()),
            max_bytes: self.max_bytes,
        };
        let step = AtomicU64::new(u64::MAX);
        let tell = |event: &Event| self.tell(event, &step, app);
        let fetched = fetch.run(&self.hub, &tell).await?;
        tracing::info!(
            path = %fetched.path.display(), was_there = fetched.was_there, "the weights are there"
        );
        Ok(())
    }

    fn tell(&self, event: &Event, last: &AtomicU64, app: &AppState) {
        let message = match event {
            Event::Progress { done, total } => {
                let step = match total {
                    Some(total) => done * STEPS / total.max(&1),
                    None => done / STEP_BYTES,
                };
                if last.swap(step, Ordering::Relaxed) == step {
                    return;
                }
                match total {
                    Some(total) => format!("{}% of {}", step * 100 / STEPS, size(*total)),
                    None => size(*done),
                }
            }
            Event::Waiting => "another pod fetches it into the same volume".to_owned(),
            Event::Resumed { file, done } => format!("continuing {file} at {}", size(*done)),
            Event::Retrying { why, wait } => {
                format!("{why}; trying again in {:.0} s", wait.as_secs_f64())
            }
            Event::Unlocked => {
                tracing::warn!("the volume knows no locks: let only one pod at a time fetch");
                return;
            }
        };
        let message = format!("fetching {}: {message}", self.wanted);
        tracing::info!(message_to_user = message, "weights");
        let state = failure(reason::FETCHING_WEIGHTS, &message);
        app.update(|snapshot| snapshot.fetching = Some(state));
    }
}

/// The condition reason of weights that were not fetched.
fn reason_of(error: &FetchError) -> &'static str {
    match error {
        FetchError::NotFound(_) => reason::WEIGHTS_NOT_FOUND,
        FetchError::Digest(_) => reason::DIGEST_MISMATCH,
        FetchError::Model(_) => reason::MODEL_UNSUPPORTED,
        FetchError::Unusable(_) => reason::WEIGHTS_INVALID,
        FetchError::Invalid(_)
        | FetchError::Refused(_)
        | FetchError::NoSpace(_)
        | FetchError::Io { .. }
        | FetchError::Unavailable { .. } => reason::WEIGHTS_NOT_FETCHED,
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}
