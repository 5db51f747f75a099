//! Teacher-forced passes over a given response.

use super::lab_engine::LabEngine;
use super::steering::Steering;
use crate::error::{Context as _, Result};
use personaguard_model::{Capture, MeanStates, ScoreRequest};

/// Mean activations of a response at every layer.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn mean_states(
    engine: &LabEngine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    capture: Capture,
) -> Result<MeanStates> {
    match engine {
        LabEngine::Own(engine) => {
            let skip_logprobs = true;
            let request = ScoreRequest {
                prompt,
                response,
                capture,
                skip_logprobs,
                ..ScoreRequest::default()
            };
            engine.score(request).await?.states.context("the engine returned no activations")
        }
        LabEngine::Vllm(vllm) => vllm.mean_states(&prompt, &response, capture).await,
    }
}

/// Log-likelihood of a response in nats, steered if that is asked for.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn log_likelihood(
    engine: &LabEngine,
    prompt: Vec<u32>,
    response: &[u32],
    steering: Option<Steering<'_>>,
) -> Result<f64> {
    match engine {
        LabEngine::Own(engine) => {
            let interventions =
                steering.into_iter().map(Steering::intervention).collect::<Result<_>>()?;
            let response = response.to_vec();
            let request =
                ScoreRequest { prompt, response, interventions, ..ScoreRequest::default() };
            Ok(engine.score(request).await?.log_likelihood())
        }
        LabEngine::Vllm(vllm) => vllm.log_likelihood(&prompt, response, steering).await,
    }
}
