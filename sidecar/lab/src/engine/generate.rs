//! Generating answers.

use super::generation_settings::GenerationSettings;
use super::lab_engine::LabEngine;
use super::probe::Probe;
use super::steering::Steering;
use crate::error::{Context as _, Result, bail};
use personaguard_model::{Capture, Engine, Event, GenerateRequest, Intervention, MeanStates};
use std::sync::Arc;

/// Generates an answer, steered if that is asked for. Returns its tokens without the one that ends
/// it.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn generate(
    engine: &LabEngine,
    prompt: Vec<u32>,
    settings: GenerationSettings,
    steering: Option<Steering<'_>>,
) -> Result<Vec<u32>> {
    match engine {
        LabEngine::Own(engine) => {
            let interventions = interventions(steering)?;
            let request = GenerateRequest { interventions, ..settings.request(prompt) };
            Ok(finish(engine, request).await?.0)
        }
        LabEngine::Vllm(vllm) => vllm.generate(&prompt, settings, steering).await,
    }
}

/// Generates an answer and captures its mean activations.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn generate_with_states(
    engine: &LabEngine,
    prompt: Vec<u32>,
    settings: GenerationSettings,
    capture: Capture,
) -> Result<(Vec<u32>, MeanStates)> {
    match engine {
        LabEngine::Own(engine) => {
            let request = GenerateRequest { capture, ..settings.request(prompt) };
            let (tokens, states) = finish(engine, request).await?;
            Ok((tokens, *states.context("the engine returned no activations")?))
        }
        LabEngine::Vllm(vllm) => {
            let tokens = vllm.generate(&prompt, settings, None).await?;
            let states = vllm.mean_states(&prompt, &tokens, capture).await?;
            Ok((tokens, states))
        }
    }
}

fn interventions(steering: Option<Steering<'_>>) -> Result<Arc<[Intervention]>> {
    steering.into_iter().map(Steering::intervention).collect()
}

async fn finish(
    engine: &Engine,
    request: GenerateRequest,
) -> Result<(Vec<u32>, Option<Box<MeanStates>>)> {
    let mut generation = engine.submit(request)?;
    let mut tokens = Vec::new();
    while let Some(event) = generation.next().await {
        match event {
            Event::Token(token) => tokens.push(token.id),
            Event::Failed(error) => return Err(error.into()),
            Event::Prefill(_) => {}
            Event::End(end) => return Ok((tokens, end.states)),
        }
    }
    bail!("the engine stopped in the middle of an answer")
}

/// An answer and its projection.
#[derive(Clone, Debug)]
pub(crate) struct ProjectedAnswer {
    /// Its tokens, without the one that ends it.
    pub(crate) tokens: Vec<u32>,
    /// Mean projection over them; 0 for an empty answer.
    pub(crate) projection: f64,
}

/// Generates an answer, steered if that is asked for, and projects it on one probe, at or below the
/// layer that is steered.
///
/// # Errors
/// If the engine refuses or fails.
pub(crate) async fn generate_projected(
    engine: &LabEngine,
    prompt: Vec<u32>,
    settings: GenerationSettings,
    steering: Option<Steering<'_>>,
    probe: &Probe,
) -> Result<ProjectedAnswer> {
    match engine {
        LabEngine::Own(engine) => {
            let request = GenerateRequest {
                interventions: interventions(steering)?,
                taps: Arc::new([probe.tap()]),
                ..settings.request(prompt)
            };
            finish_projected(engine, request).await
        }
        LabEngine::Vllm(vllm) => {
            let tokens = vllm.generate(&prompt, settings, steering).await?;
            if tokens.is_empty() {
                return Ok(ProjectedAnswer { tokens, projection: 0.0 });
            }
            // Up to the steered layer, steering acts through the tokens alone: read once more
            // without it, they give the same.
            let states = vllm.mean_states(&prompt, &tokens, Capture::Response).await?;
            let projection = probe.of(&states.response_mean).context("the model lacks a layer")?;
            Ok(ProjectedAnswer { tokens, projection })
        }
    }
}

async fn finish_projected(engine: &Engine, request: GenerateRequest) -> Result<ProjectedAnswer> {
    let mut generation = engine.submit(request)?;
    let mut answer = ProjectedAnswer { tokens: Vec::new(), projection: 0.0 };
    while let Some(event) = generation.next().await {
        match event {
            Event::Token(token) => {
                answer.tokens.push(token.id);
                answer.projection += token.projections.first().copied().map_or(f64::NAN, f64::from);
            }
            Event::Failed(error) => return Err(error.into()),
            Event::Prefill(_) => {}
            Event::End(_) => {
                answer.projection /= answer.tokens.len().max(1) as f64;
                return Ok(answer);
            }
        }
    }
    bail!("the engine stopped in the middle of an answer")
}
