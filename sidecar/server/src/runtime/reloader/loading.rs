//! A load of weights that is under way.

use crate::runtime::app_state::AppState;
use crate::runtime::fetching::WeightsHub;
use crate::runtime::message::failure;
use crate::runtime::weights::WeightsKey;
use personaguard_model::Model;
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A load that is under way.
#[derive(Debug)]
pub(super) struct Loading {
    key: WeightsKey,
    task: JoinHandle<Result<Arc<Model>, Failure>>,
    /// Ends a fetch when nobody waits for it any more.
    _stop: DropGuard,
}

/// How a load ended.
pub(super) struct Outcome {
    pub(super) key: WeightsKey,
    pub(super) result: Result<Arc<Model>, Failure>,
}

impl Loading {
    /// Loads the weights; fetches them from `hub` before, unless they are there.
    pub(super) fn start(
        key: WeightsKey,
        hub: Option<Arc<WeightsHub>>,
        app: &Arc<AppState>,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = spawn_blocking({
            let (key, app, stop) = (key.clone(), Arc::clone(app), stop.clone());
            move || match hub {
                Some(hub) => hub.fetch_and_load(&key, &app, &stop),
                None => key.load(),
            }
        });
        Self { key, task, _stop: stop.drop_guard() }
    }
}

/// Waits for a load, and takes it out. Waits for ever if there is none.
pub(super) async fn finished(loading: &mut Option<Loading>) -> Outcome {
    let Some(running) = loading else { return std::future::pending().await };
    let result = (&mut running.task).await.unwrap_or_else(|error| {
        let message = format!("a bug: loading the weights failed: {error}");
        Err(failure(reason::WEIGHTS_INVALID, &message))
    });
    let key = running.key.clone();
    *loading = None;
    Outcome { key, result }
}
