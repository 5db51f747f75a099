//! The loop that keeps what is served in step with the config folder.

use super::load::{Loaded, ModelKey};
use super::{Host, ModelState};
use crate::config::{self, Config, ConfigError, Fingerprint, Source};
use personaguard_model::Model;
use personaguard_terms::conditions::reason;
use personaguard_terms::{FailurePolicy, Mode};
use personaguard_wire::Failure;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// How often the config folder is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Waits between attempts to load weights, doubled each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Follows the config folder and the weight file until `stop`: reads, loads, applies, retries.
/// Never fails; what is wrong is in [`super::State`].
pub async fn run(host: Arc<Host>, source: Source, stop: CancellationToken) {
    let mut keeper = Keeper {
        host,
        source: Arc::new(source),
        seen: None,
        config: None,
        loaded: None,
        loading: None,
        retry: None,
    };
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => keeper.tick().await,
            finished = finished(&mut keeper.loading) => keeper.finish(finished),
        }
    }
}

struct Keeper {
    host: Arc<Host>,
    source: Arc<Source>,
    seen: Option<Fingerprint>,
    config: Option<Arc<Config>>,
    loaded: Option<Loaded>,
    loading: Option<Loading>,
    retry: Option<Retry>,
}

struct Loading {
    key: ModelKey,
    task: JoinHandle<Result<Arc<Model>, Failure>>,
}

/// When to try again what failed.
struct Retry {
    at: Instant,
    wait: Duration,
    weights: Option<(u64, SystemTime)>,
}

type Finished = (ModelKey, Result<Arc<Model>, Failure>);

async fn finished(loading: &mut Option<Loading>) -> Finished {
    let Some(running) = loading else { return std::future::pending().await };
    let result = match (&mut running.task).await {
        Ok(result) => result,
        Err(error) => Err(Failure {
            reason: reason::WEIGHTS_INVALID.to_owned(),
            message: format!("loading the weights failed in a way that is a bug: {error}"),
        }),
    };
    let key = running.key.clone();
    *loading = None;
    (key, result)
}

impl Keeper {
    async fn tick(&mut self) {
        let source = Arc::clone(&self.source);
        let Ok(now) = spawn_blocking(move || config::fingerprint(&source)).await else { return };
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            self.read().await;
        } else if self.loading.is_none() && self.retry.as_ref().is_some_and(|retry| self.due(retry))
        {
            self.load();
        }
    }

    fn due(&self, retry: &Retry) -> bool {
        let changed = || {
            self.config.as_ref().is_some_and(|config| stamp(&config.model_file) != retry.weights)
        };
        Instant::now() >= retry.at || changed()
    }

    async fn read(&mut self) {
        let source = Arc::clone(&self.source);
        let result = match spawn_blocking(move || config::load(&source)).await {
            Ok(result) => result,
            Err(error) => Err(ConfigError::Rejected(format!(
                "reading the config failed in a way that is a bug: {error}"
            ))),
        };
        match result {
            Err(error) => {
                tracing::error!(%error, "the config folder is not applied; the config before it stays in force");
                self.host.config_rejected(&error.to_string());
                // A folder that changed while it was read is read again at the next tick.
                if matches!(error, ConfigError::Unsteady) {
                    self.seen = None;
                }
            }
            Ok(config) => {
                let config = Arc::new(config);
                if self.config.as_ref() == Some(&config) {
                    if self.host.state().config_error.is_some() {
                        self.host.config_applied();
                    }
                    return;
                }
                self.config = Some(config);
                self.retry = None;
                self.host.config_applied();
                self.apply();
            }
        }
    }

    /// Serves the config with the weights in memory if they are the right ones, else loads those
    /// that are.
    fn apply(&mut self) {
        let Some(config) = self.config.clone() else { return };
        self.host.update(|state| state.failure_policy = Some(failure_policy(&config)));
        let key = ModelKey::of(&config);
        match &mut self.loaded {
            Some(loaded) if loaded.key == key => {
                let result = loaded.serve(&config);
                self.publish(&config, result);
            }
            _ => {
                // Before the new weights take memory; requests that run keep the old ones until
                // they end.
                self.loaded = None;
                self.host.update(|state| {
                    state.model_name.clone_from(&config.guard.model.name);
                    state.model = ModelState::Loading;
                });
                self.load();
            }
        }
    }

    fn load(&mut self) {
        let Some(config) = self.config.clone() else { return };
        // One load at a time; when it ends with weights that are no longer wanted, the next begins.
        if self.loading.is_none() {
            let key = ModelKey::of(&config);
            tracing::info!(model = %config.guard.model.name, file = %key.file.display(), "loading weights");
            let task = spawn_blocking({
                let key = key.clone();
                move || key.load()
            });
            self.loading = Some(Loading { key, task });
        }
    }

    fn finish(&mut self, (key, result): Finished) {
        let Some(config) = self.config.clone() else { return };
        if key != ModelKey::of(&config) {
            return self.load();
        }
        let result = result
            .and_then(|model| Loaded::new(key, model, config.guard.model.max_concurrent))
            .and_then(|loaded| self.loaded.insert(loaded).serve(&config));
        self.publish(&config, result);
    }

    fn publish(&mut self, config: &Config, result: Result<super::Serving, Failure>) {
        match result {
            Ok(serving) => {
                self.retry = None;
                for policy in &serving.plan.policies {
                    if let Some(failure) = &policy.unresolved {
                        tracing::error!(policy = %policy.name, reason = %failure.reason, message_to_user = %failure.message,
                            failure_policy = ?policy.failure_policy, "a policy is not enforced");
                    }
                    for refused in &policy.refused {
                        tracing::error!(policy = %policy.name, vector = %refused.vector, reason = %refused.failure.reason,
                            message_to_user = %refused.failure.message, "a trait is refused");
                    }
                }
                tracing::info!(model = %serving.name, digest = %serving.digest.short(),
                    policies = serving.plan.policies.len(), traits = serving.plan.rules.len(), "serving");
                self.host.metrics.apply(&serving.plan);
                self.host.ledger.apply(&serving.plan);
                self.host.update(|state| {
                    state.model_name.clone_from(&serving.name);
                    state.model = ModelState::Ready(Arc::new(serving));
                });
            }
            Err(failure) => {
                tracing::error!(model = %config.guard.model.name, reason = %failure.reason, error = %failure.message,
                    "the model is not served");
                let wait =
                    self.retry.as_ref().map_or(RETRY.0, |retry| (retry.wait * 2).min(RETRY.1));
                self.loaded = None;
                self.retry = Some(Retry {
                    at: Instant::now() + wait,
                    wait,
                    weights: stamp(&config.model_file),
                });
                self.host.update(|state| {
                    state.model_name.clone_from(&config.guard.model.name);
                    state.model = ModelState::Failed(failure);
                });
            }
        }
    }
}

/// Of all policies together; one in mode `Audit` changes nothing.
fn failure_policy(config: &Config) -> FailurePolicy {
    let enforced = config.guard.policies.iter().filter(|policy| policy.mode == Mode::Enforce);
    let unresolved = config.guard.unresolved.iter().map(|policy| policy.failure_policy);
    enforced.map(|policy| policy.failure_policy).chain(unresolved).max().unwrap_or_default()
}

fn stamp(file: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
