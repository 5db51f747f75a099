//! Projections of a given response, from one teacher-forced pass.

use super::lab_engine::LabEngine;
use super::probe::Probe;
use crate::error::{Context as _, Result};
use personaguard_model::{Capture, Engine, ScoreRequest, Tap};
use std::sync::Arc;

/// Projections on each probe, in the order of the probes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Projections {
    /// At the last prompt token.
    pub(crate) prompt_last: Vec<f64>,
    /// Mean over the response's tokens; `None` for an empty response.
    pub(crate) response_avg: Option<Vec<f64>>,
}

/// Projects a response.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn project(
    engine: &LabEngine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    probes: &[Probe],
) -> Result<Projections> {
    match engine {
        LabEngine::Own(engine) => {
            let taps: Arc<[Tap]> = probes.iter().map(Probe::tap).collect();
            let skip_logprobs = true;
            let request =
                ScoreRequest { prompt, response, taps, skip_logprobs, ..ScoreRequest::default() };
            let score = engine.score(request).await?;
            let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
            Ok(Projections {
                response_avg: score.response_avg().map(widen),
                prompt_last: widen(score.prompt),
            })
        }
        LabEngine::Vllm(vllm) => {
            let capture = Capture::PromptAndResponse;
            let states = vllm.mean_states(&prompt, &response, capture).await?;
            // The mean of projections is the projection of the mean.
            let on = |states: &[Vec<f32>]| {
                let on = probes.iter().map(|probe| probe.of(states));
                on.collect::<Option<Vec<_>>>().context("the model lacks the layer of a vector")
            };
            Ok(Projections {
                prompt_last: on(&states.prompt_last)?,
                response_avg: match response.as_slice() {
                    [] => None,
                    _ => Some(on(&states.response_mean)?),
                },
            })
        }
    }
}

/// Projects each token of a response on one probe.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn project_token_by_token(
    engine: &Engine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    probe: &Probe,
) -> Result<Vec<f64>> {
    let taps = Arc::new([probe.tap()]);
    let request = ScoreRequest { prompt, response, taps, ..ScoreRequest::default() };
    let score = engine.score(request).await?;
    Ok(score
        .response
        .iter()
        .map(|projections| projections.first().copied().map_or(f64::NAN, f64::from))
        .collect())
}
