//! A load of weights that is under way.

use crate::runtime::message::failure;
use crate::runtime::weights::WeightsKey;
use personaguard_model::Model;
use personaguard_terms::conditions::reason;
use personaguard_wire::Failure;
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// A load that is under way.
#[derive(Debug)]
pub(super) struct Loading {
    key: WeightsKey,
    task: JoinHandle<Result<Arc<Model>, Failure>>,
}

/// How a load ended.
pub(super) struct Outcome {
    pub(super) key: WeightsKey,
    pub(super) result: Result<Arc<Model>, Failure>,
}

impl Loading {
    pub(super) fn start(key: WeightsKey) -> Self {
        let task = spawn_blocking({
            let key = key.clone();
            move || key.load()
        });
        Self { key, task }
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
