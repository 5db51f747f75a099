//! Projections of a given response, from one teacher-forced pass.

use crate::error::{Context as _, Result};
use crate::files::LoadedVector;
use personaguard_model::{Engine, ScoreRequest, Tap};
use std::sync::Arc;

/// Projections on each probe, in the order of the probes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Projections {
    /// At the last prompt token.
    pub(crate) prompt_last: Vec<f64>,
    /// Mean over the response's tokens; `None` for an empty response.
    pub(crate) response_avg: Option<Vec<f64>>,
}

/// Probes on the best layer of each vector.
///
/// # Errors
/// If a vector is zero there, as an imported one may be.
pub(crate) fn best_layer_probes(vectors: &[LoadedVector]) -> Result<Arc<[Tap]>> {
    vectors
        .iter()
        .map(|vector| {
            let layer = vector.file.best_layer();
            Tap::new(layer as usize, vector.best()?)
                .with_context(|| format!("{} at layer {layer}", vector.path.display()))
        })
        .collect()
}

/// Projects a response.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn project(
    engine: &Engine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    taps: Arc<[Tap]>,
) -> Result<Projections> {
    let request =
        ScoreRequest { prompt, response, taps, skip_logprobs: true, ..ScoreRequest::default() };
    let score = engine.score(request).await?;
    let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    Ok(Projections {
        response_avg: score.response_avg().map(widen),
        prompt_last: widen(score.prompt),
    })
}

/// Projects each token of a response on one probe.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn project_token_by_token(
    engine: &Engine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    taps: Arc<[Tap]>,
) -> Result<Vec<f64>> {
    let request = ScoreRequest { prompt, response, taps, ..ScoreRequest::default() };
    let score = engine.score(request).await?;
    Ok(score
        .response
        .iter()
        .map(|projections| projections.first().copied().map_or(f64::NAN, f64::from))
        .collect())
}
