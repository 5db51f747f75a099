//! The loop that keeps what is served in step with the config folder.

mod loading;
mod retry;

use super::active_model::ActiveModel;
use super::app_state::AppState;
use super::config_follower::{ConfigFollower, Followed};
use super::fetching::WeightsHub;
use super::model_state::ModelState;
use super::served::Served;
use super::weights::{LoadedWeights, WeightsKey};
use crate::config::{Config, Source};
use loading::{Loading, Outcome, finished};
use personaguard_wire::Failure;
use retry::Retry;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Follows the config folder and the weight file: reads, loads, applies, retries. It never fails:
/// what is wrong is in the [`Snapshot`](super::Snapshot).
#[derive(Debug)]
pub struct ModelReloader {
    app: Arc<AppState>,
    follower: ConfigFollower,
    hub: Option<Arc<WeightsHub>>,
    wanted: Option<Wanted>,
    loaded: Option<LoadedWeights>,
    loading: Option<Loading>,
    retry: Option<Retry>,
}

/// A config, and the weights that it is for.
#[derive(Clone, Debug)]
struct Wanted {
    config: Arc<Config>,
    key: WeightsKey,
}

impl ModelReloader {
    /// A reloader that has read nothing yet. Weights that are not there are fetched from `hub`.
    #[must_use]
    pub fn new(app: Arc<AppState>, source: Source, hub: Option<WeightsHub>) -> Self {
        Self {
            app,
            follower: ConfigFollower::new(source),
            hub: hub.map(Arc::new),
            wanted: None,
            loaded: None,
            loading: None,
            retry: None,
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = ConfigFollower::ticks();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.tick().await,
                outcome = finished(&mut self.loading) => self.finish_loading(outcome),
            }
        }
    }

    async fn tick(&mut self) {
        match self.follower.look(&self.app).await {
            Followed::Read(config) => self.take(Arc::from(config)),
            Followed::Same if self.loading.is_none() && self.retry_is_due() => self.load(),
            Followed::Same | Followed::Rejected => {}
        }
    }

    fn retry_is_due(&self) -> bool {
        match (&self.retry, &self.wanted) {
            (Some(retry), Some(wanted)) => retry.is_due(&wanted.key.file),
            _ => false,
        }
    }

    fn take(&mut self, config: Arc<Config>) {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.config == config) {
            if self.app.snapshot().config_error.is_some() {
                self.app.config_applied();
            }
            return;
        }
        let key = match WeightsKey::of(&config) {
            Ok(key) => key,
            Err(error) => return self.app.config_rejected(&error.to_string()),
        };
        if let Some(loaded) = self.loaded.as_ref().filter(|it| it.key != key) {
            return self.hold(&loaded.key.file.display().to_string());
        }
        self.wanted = Some(Wanted { config, key });
        self.retry = None;
        self.app.config_applied();
        self.apply();
    }

    /// What is loaded stays, with everything that is in force: the new config is for other weights,
    /// and to load them would take the pod down.
    fn hold(&self, loaded: &str) {
        let error = format!(
            "the config is for other weights, or runs them in another way, than those that are \
             loaded ({loaded}). These stay, with the config before, until its pod is replaced: \
             restart the workload"
        );
        tracing::warn!(error, "the config folder is not applied");
        self.app.config_rejected(&error);
    }

    /// Serves the config with the weights in memory, if they are the right ones. Otherwise loads
    /// those that are.
    fn apply(&mut self) {
        let Some(wanted) = self.wanted.clone() else { return };
        self.app.expect(&wanted.config.guard);
        match &mut self.loaded {
            Some(loaded) if loaded.key == wanted.key => {
                let result = loaded.activate(&wanted.config);
                self.publish(&wanted, result);
            }
            _ => {
                // Before the new weights take memory. Requests that run keep the old ones until
                // they end.
                self.loaded = None;
                self.app.set_model(&wanted.config.guard.model.name, ModelState::Loading);
                self.load();
            }
        }
    }

    /// Loads the weights of the config. One load at a time: when it ends with weights that are no
    /// longer wanted, the next one begins.
    fn load(&mut self) {
        let Some(Wanted { config, key }) = &self.wanted else { return };
        if self.loading.is_none() {
            tracing::info!(
                model = %config.guard.model.name, file = %key.file.display(), "loading weights"
            );
            let loading = Loading::start(key.clone(), self.hub.clone(), &self.app);
            self.loading = Some(loading);
        }
    }

    fn finish_loading(&mut self, Outcome { key, result }: Outcome) {
        let Some(wanted) = self.wanted.clone() else { return };
        if key != wanted.key {
            return self.load();
        }
        let config = &wanted.config;
        let result = result
            .and_then(|model| LoadedWeights::new(key, model, config.guard.model.max_concurrent))
            .and_then(|loaded| self.loaded.insert(loaded).activate(config));
        self.publish(&wanted, result);
    }

    fn publish(&mut self, wanted: &Wanted, result: Result<ActiveModel, Failure>) {
        match result {
            Ok(model) => {
                self.retry = None;
                self.app.put_in_force(Served::Own(Arc::new(model)));
            }
            Err(failure) => {
                self.loaded = None;
                self.retry.get_or_insert_default().fail(&wanted.key.file);
                self.app.set_model(&wanted.config.guard.model.name, ModelState::Failed(failure));
            }
        }
    }
}
