//! Teacher-forced passes over a given response.

use crate::error::{Context as _, Result};
use personaguard_model::{Capture, Engine, Intervention, MeanStates, ScoreRequest};
use std::sync::Arc;

/// Mean activations of a response at every layer.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn mean_states(
    engine: &Engine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    capture: Capture,
) -> Result<MeanStates> {
    let request =
        ScoreRequest { prompt, response, capture, skip_logprobs: true, ..ScoreRequest::default() };
    engine.score(request).await?.states.context("the engine returned no activations")
}

/// Log-likelihood of a response in nats, steered if an intervention is given.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn log_likelihood(
    engine: &Engine,
    prompt: Vec<u32>,
    response: &[u32],
    steering: Option<Intervention>,
) -> Result<f64> {
    let request = ScoreRequest {
        prompt,
        response: response.to_vec(),
        interventions: steering.into_iter().collect::<Arc<[_]>>(),
        ..ScoreRequest::default()
    };
    Ok(engine.score(request).await?.log_likelihood())
}
