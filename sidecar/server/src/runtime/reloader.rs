//! The loop that keeps what is served in step with the config folder.

mod loading;
mod retry;

use super::active_model::ActiveModel;
use super::app_state::AppState;
use super::fetching::WeightsHub;
use super::model_state::ModelState;
use super::weights::{LoadedWeights, WeightsKey};
use crate::config::{self, Config, ConfigError, Fingerprint, Source};
use loading::{Loading, Outcome, finished};
use personaguard_terms::{FailurePolicy, Mode, with_causes};
use personaguard_wire::{Failure, GuardConfig};
use retry::Retry;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How often the config folder is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Follows the config folder and the weight file: reads, loads, applies, retries. It never fails:
/// what is wrong is in the [`Snapshot`](super::Snapshot).
#[derive(Debug)]
pub struct ModelReloader {
    app: Arc<AppState>,
    source: Arc<Source>,
    hub: Option<Arc<WeightsHub>>,
    seen: Option<Fingerprint>,
    config: Option<Arc<Config>>,
    loaded: Option<LoadedWeights>,
    loading: Option<Loading>,
    retry: Option<Retry>,
}

impl ModelReloader {
    /// A reloader that has read nothing yet. Weights that are not there are fetched from `hub`.
    #[must_use]
    pub fn new(app: Arc<AppState>, source: Source, hub: Option<WeightsHub>) -> Self {
        Self {
            app,
            source: Arc::new(source),
            hub: hub.map(Arc::new),
            seen: None,
            config: None,
            loaded: None,
            loading: None,
            retry: None,
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.tick().await,
                outcome = finished(&mut self.loading) => self.finish_loading(outcome),
            }
        }
    }

    async fn tick(&mut self) {
        let source = Arc::clone(&self.source);
        let Ok(now) = spawn_blocking(move || config::fingerprint(&source)).await else { return };
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            self.read().await;
        } else if self.loading.is_none() && self.retry_is_due() {
            self.load();
        }
    }

    fn retry_is_due(&self) -> bool {
        match (&self.retry, &self.config) {
            (Some(retry), Some(config)) => retry.is_due(&config.model_file),
            _ => false,
        }
    }

    async fn read(&mut self) {
        let source = Arc::clone(&self.source);
        let read = spawn_blocking(move || config::load(&source)).await;
        let read = read.unwrap_or_else(|error| {
            Err(ConfigError::Rejected(format!("a bug: reading the config failed: {error}")))
        });
        match read {
            Err(error) => self.reject(&error),
            Ok(config) => self.take(Arc::new(config)),
        }
    }

    fn reject(&mut self, error: &ConfigError) {
        let message = with_causes(error);
        tracing::error!(
            error = message,
            "the config folder is not applied; the previous config stays in force"
        );
        self.app.config_rejected(&message);
        // A folder that changed while it was read is read again at the next tick.
        if matches!(error, ConfigError::Unsteady) {
            self.seen = None;
        }
    }

    fn take(&mut self, config: Arc<Config>) {
        if self.config.as_ref() == Some(&config) {
            if self.app.snapshot().config_error.is_some() {
                self.app.config_applied();
            }
            return;
        }
        if let Some(loaded) = self.loaded.as_ref().filter(|it| it.key != WeightsKey::of(&config)) {
            return self.hold(&loaded.key.file.display().to_string());
        }
        self.config = Some(config);
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
        let Some(config) = self.config.clone() else { return };
        let policy = failure_policy(&config.guard);
        self.app.update(|snapshot| snapshot.failure_policy = Some(policy));
        match &mut self.loaded {
            Some(loaded) if loaded.key == WeightsKey::of(&config) => {
                let result = loaded.activate(&config);
                self.publish(&config, result);
            }
            _ => {
                // Before the new weights take memory. Requests that run keep the old ones until
                // they end.
                self.loaded = None;
                self.set_model(&config, ModelState::Loading);
                self.load();
            }
        }
    }

    /// Loads the weights of the config. One load at a time: when it ends with weights that are no
    /// longer wanted, the next one begins.
    fn load(&mut self) {
        let Some(config) = &self.config else { return };
        if self.loading.is_none() {
            let key = WeightsKey::of(config);
            tracing::info!(
                model = %config.guard.model.name, file = %key.file.display(), "loading weights"
            );
            self.loading = Some(Loading::start(key, self.hub.clone(), &self.app));
        }
    }

    fn finish_loading(&mut self, Outcome { key, result }: Outcome) {
        let Some(config) = self.config.clone() else { return };
        if key != WeightsKey::of(&config) {
            return self.load();
        }
        let result = result
            .and_then(|model| LoadedWeights::new(key, model, config.guard.model.max_concurrent))
            .and_then(|loaded| self.loaded.insert(loaded).activate(&config));
        self.publish(&config, result);
    }

    fn publish(&mut self, config: &Config, result: Result<ActiveModel, Failure>) {
        match result {
            Ok(model) => {
                model.log();
                self.retry = None;
                self.app.metrics.policies.apply(&model.plan);
                self.app.ledger.apply(&model.plan);
                self.set_model(config, ModelState::Ready(Arc::new(model)));
            }
            Err(failure) => {
                tracing::error!(
                    model = %config.guard.model.name, reason = %failure.reason,
                    error = %failure.message, "the model is not served"
                );
                self.loaded = None;
                self.retry.get_or_insert_default().fail(&config.model_file);
                self.set_model(config, ModelState::Failed(failure));
            }
        }
    }

    fn set_model(&self, config: &Config, model: ModelState) {
        self.app.update(|snapshot| {
            snapshot.model_name.clone_from(&config.guard.model.name);
            snapshot.model = model;
        });
    }
}

/// The failure policy of all policies together. One in mode `Audit` changes nothing.
fn failure_policy(config: &GuardConfig) -> FailurePolicy {
    let enforced = config.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
    let unresolved = config.unresolved.iter().map(|policy| policy.failure_policy);
    enforced.map(|policy| policy.failure_policy).chain(unresolved).max().unwrap_or_default()
}
