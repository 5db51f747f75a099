//! Noticing that the config folder has changed, and reading it.

use super::app_state::AppState;
use crate::config::{self, Config, ConfigError, Fingerprint, Source};
use personaguard_terms::with_causes;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the config folder is looked at.
const POLL: Duration = Duration::from_millis(200);

/// The config folder, and what it looked like the last time.
#[derive(Debug)]
pub(super) struct ConfigFollower {
    source: Arc<Source>,
    seen: Option<Fingerprint>,
}

/// What became of the folder.
pub(super) enum Followed {
    /// It is as it was.
    Same,
    /// It changed, and cannot be applied: what was in force stays.
    Rejected,
    Read(Box<Config>),
}

impl ConfigFollower {
    pub(super) fn new(source: Source) -> Self {
        Self { source: Arc::new(source), seen: None }
    }

    /// When to look.
    pub(super) fn ticks() -> Interval {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Looks at the folder, and reads it where it has changed. `app` is told of errors.
    pub(super) async fn look(&mut self, app: &AppState) -> Followed {
        let source = Arc::clone(&self.source);
        let Ok(now) = spawn_blocking(move || config::fingerprint(&source)).await else {
            return Followed::Same;
        };
        if self.seen.as_ref() == Some(&now) {
            return Followed::Same;
        }
        self.seen = Some(now);
        let source = Arc::clone(&self.source);
        let read = spawn_blocking(move || config::load(&source)).await;
        let read = read.unwrap_or_else(|error| {
            Err(ConfigError::Rejected(format!("a bug: reading the config failed: {error}")))
        });
        match read {
            Ok(config) => Followed::Read(Box::new(config)),
            Err(error) => {
                self.reject(app, &error);
                Followed::Rejected
            }
        }
    }

    fn reject(&mut self, app: &AppState, error: &ConfigError) {
        let message = with_causes(error);
        tracing::error!(
            error = message,
            "the config folder is not applied; the previous config stays in force"
        );
        app.config_rejected(&message);
        // A folder that changed while it was read is read again at the next tick.
        if matches!(error, ConfigError::Unsteady) {
            self.seen = None;
        }
    }
}
