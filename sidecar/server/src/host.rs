//! The sidecar as a whole: which model is loaded, which plan is in force, and what has been
//! counted.

pub mod interventions;
mod load;
mod run;

pub use run::run;

use crate::audit::Logs;
use crate::report::Ledger;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::ReloadResult;
use personaguard_guard::{BackOff, Draw, Plan};
use personaguard_model::{Engine, Intervention, Tap};
use personaguard_terms::{Digest, FailurePolicy};
use personaguard_wire::{Failure, ModelObservation, PodState, SidecarReport};
use std::sync::Arc;
use tokio::sync::watch;

/// What every part of the sidecar shares.
#[derive(Debug)]
pub struct Host {
    /// Metrics.
    pub metrics: Metrics,
    /// Counts for the operator.
    pub ledger: Ledger,
    /// Logs on disk, where there are any.
    pub logs: Logs,
    /// Random id of this process.
    pub instance: String,
    state: watch::Sender<Arc<State>>,
}

/// What is loaded and in force at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Name of the model, once a config was read.
    pub model_name: String,
    /// The model.
    pub model: ModelState,
    /// What happens to traffic as long as no model serves; none before a config was read.
    pub failure_policy: Option<FailurePolicy>,
    /// Why the config folder as it is now is not applied, where it is not.
    pub config_error: Option<String>,
}

/// What has become of the model.
#[derive(Clone, Debug, Default)]
pub enum ModelState {
    /// It is being loaded, or no config was read yet.
    #[default]
    Loading,
    /// It serves.
    Ready(Arc<Serving>),
    /// It cannot be served.
    Failed(Failure),
}

/// A model that serves under a plan. A request keeps the one it began with.
#[derive(Debug)]
pub struct Serving {
    /// Name, as clients ask for it.
    pub name: String,
    /// Digest of the weight file.
    pub digest: Digest,
    /// Seconds since the epoch when the model was loaded.
    pub created: i64,
    /// The engine.
    pub engine: Engine,
    /// What is measured and enforced.
    pub plan: Arc<Plan>,
    /// The same for responses that no policy looks at.
    pub resting: Arc<Plan>,
    /// Which policies look at a response.
    pub draw: Draw,
    /// How far steering is held back.
    pub back_off: BackOff,
    /// The plan's taps, in their order.
    pub taps: Arc<[Tap]>,
    /// The plan's steering.
    pub interventions: Arc<[Intervention]>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new(Logs::default())
    }
}

impl Host {
    /// A sidecar that has not read its config yet.
    #[must_use]
    pub fn new(logs: Logs) -> Self {
        Self {
            logs,
            metrics: Metrics::new(),
            ledger: Ledger::default(),
            instance: uuid::Uuid::new_v4().to_string(),
            state: watch::Sender::default(),
        }
    }

    /// What is loaded and in force now.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    /// Follows [`Self::state`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// The model that serves.
    #[must_use]
    pub fn serving(&self) -> Option<Arc<Serving>> {
        match &self.state.borrow().model {
            ModelState::Ready(serving) => Some(Arc::clone(serving)),
            _ => None,
        }
    }

    /// The metrics as text, with gauges read now.
    #[must_use]
    pub fn metrics(&self) -> String {
        for (log, log_name) in self.logs.named() {
            self.metrics.log(log_name, log.written(), log.lost());
        }
        let (running, waiting) =
            self.serving().map_or((0, 0), |s| (s.engine.running(), s.engine.waiting()));
        self.metrics.load(running, waiting);
        self.metrics.encode()
    }

    /// The report as of now.
    #[must_use]
    pub fn report(&self, sequence: u64) -> SidecarReport {
        let state = self.state();
        let (totals, traits, _) = self.ledger.read();
        SidecarReport {
            instance: self.instance.clone(),
            sequence,
            model: state.observation(),
            policies: match &state.model {
                // Nothing is enforced, so nothing is acknowledged, as long as nothing is served.
                ModelState::Loading | ModelState::Failed(_) => Vec::new(),
                ModelState::Ready(serving) => serving.plan.acknowledgements(),
            },
            config_error: state.config_error.clone(),
            totals,
            traits,
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| change(Arc::make_mut(state)));
        self.metrics.model_ready(self.serving().is_some());
        self.ledger.ring();
    }

    fn config_applied(&self) {
        self.metrics.reload(ReloadResult::Applied);
        self.update(|state| state.config_error = None);
    }

    fn config_rejected(&self, error: &str) {
        self.metrics.reload(ReloadResult::Rejected);
        self.update(|state| state.config_error = Some(clip(error)));
    }
}

/// Messages travel in reports, which are bounded.
fn clip(message: &str) -> String {
    const LONGEST: usize = 1000;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

impl State {
    fn observation(&self) -> ModelObservation {
        let (state, digest, failure) = match &self.model {
            ModelState::Loading => (PodState::Loading, None, None),
            ModelState::Ready(serving) => (PodState::Ready, Some(serving.digest.clone()), None),
            ModelState::Failed(failure) => (PodState::Failed, None, Some(failure.clone())),
        };
        ModelObservation { name: self.model_name.clone(), state, digest, failure }
    }
}
