//! Whether steered choices were coherent, once they ended; and how far steering backs off where
//! they were not.

use crate::runtime::{ActiveModel, AppState};
use crate::telemetry::labels::SteeringCoherence;
use personaguard_guard::{BackOff, Decision, repetition};
use personaguard_model::ScoreRequest;
use personaguard_terms::Coherence;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the pass that reads a choice again.
const DEADLINE: Duration = Duration::from_secs(60);

/// The check of one steered choice.
#[derive(Debug)]
pub(super) struct CoherenceCheck {
    app: Arc<AppState>,
    active: Arc<ActiveModel>,
    limits: Coherence,
    /// Tokens of the prompt.
    prompt: Vec<u32>,
    /// How far steering was held back when the choice began.
    level: u8,
}

impl CoherenceCheck {
    /// None where no policy steers this choice.
    pub(super) fn new(
        app: Arc<AppState>,
        active: Arc<ActiveModel>,
        decision: &Decision,
        prompt: &[u32],
    ) -> Option<Self> {
        let (limits, level) = (decision.plan().coherence?, decision.plan().back_off_level);
        Some(Self { app, active, limits, prompt: prompt.to_vec(), level })
    }

    /// Checks the choice, which ended with these tokens. A pass of the model runs in the
    /// background.
    pub(super) fn run(self, tokens: Vec<u32>) {
        let Some(repetition) = repetition(&tokens) else {
            return self.app.metrics.responses.count_steered(SteeringCoherence::Unknown);
        };
        if repetition > self.limits.max_repetition {
            return self.conclude(false);
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.active.back_off.should_check() => {
                runtime.spawn(async move {
                    match self.likelihood(tokens).await {
                        Some(likelihood) => {
                            self.conclude(likelihood >= self.limits.min_log_likelihood);
                        }
                        None => {
                            self.app.metrics.responses.count_steered(SteeringCoherence::Unknown);
                        }
                    }
                });
            }
            _ => self.conclude(true),
        }
    }

    /// Mean log-likelihood of the tokens under the unsteered model, by one teacher-forced pass.
    /// `None` if there is no room for it.
    #[allow(clippy::cast_precision_loss, reason = "tokens of a choice are few")]
    async fn likelihood(&self, response: Vec<u32>) -> Option<f64> {
        let count = response.len() as f64;
        let request =
            ScoreRequest { prompt: self.prompt.clone(), response, ..ScoreRequest::default() };
        let score = tokio::time::timeout(DEADLINE, self.active.engine.score(request)).await;
        Some(score.ok()?.ok()?.log_likelihood() / count)
    }

    fn conclude(&self, is_coherent: bool) {
        self.app.metrics.responses.count_steered(if is_coherent {
            SteeringCoherence::Kept
        } else {
            SteeringCoherence::Lost
        });
        if !is_coherent {
            self.app.ledger.count_incoherent();
        }
        if self.limits.back_off && self.active.back_off.observe(self.level, is_coherent) {
            let scale = BackOff::scale(self.active.back_off.level());
            self.app.metrics.policies.set_steering_scale(scale);
            tracing::warn!(
                scale,
                coherent = is_coherent,
                "the coherence of answers changes how far the policies steer"
            );
        }
    }
}
