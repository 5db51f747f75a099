//! Projections of conversations, for the commands that measure instead of extract.

use super::conversations::Conversation;
use super::open::OpenVector;
use super::progress::bar;
use super::responder::IN_FLIGHT;
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::{Capture, Engine, Event, GenerateRequest, MeanStates, Probe, Sampling, ScoreRequest};
use std::sync::Arc;

/// How the model's own answers are made.
#[derive(Clone, Copy, Debug)]
pub struct Answering {
    /// Longest answer in tokens.
    pub tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Seed; each conversation has a stream of its own.
    pub seed: u64,
}

/// The conversation's prompt in tokens.
///
/// # Errors
/// If the chat template refuses its messages.
pub fn prompt_tokens(engine: &Engine, conversation: &Conversation) -> anyhow::Result<Vec<u32>> {
    engine
        .model()
        .chat_prompt(&conversation.prompt, &Default::default())
        .with_context(|| format!("line {}", conversation.line))
}

/// The model's own answer, without the token that ends it.
///
/// # Errors
/// If the engine refuses or fails.
pub async fn own_answer(engine: &Engine, conversation: &Conversation, how: Answering) -> anyhow::Result<Vec<u32>> {
    let mut generation = engine
        .submit(GenerateRequest {
            prompt: prompt_tokens(engine, conversation)?,
            max_tokens: how.tokens,
            sampling: Sampling {
                temperature: how.temperature,
                seed: Some(how.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ conversation.line),
                ..Sampling::default()
            },
            ..GenerateRequest::default()
        })
        .with_context(|| format!("line {}", conversation.line))?;
    let mut tokens = Vec::new();
    while let Some(event) = generation.next().await {
        match event {
            Event::Token(token) => tokens.push(token.id),
            Event::Failed(error) => return Err(error.into()),
            Event::Prompt(_) => {}
            Event::End(_) => return Ok(tokens),
        }
    }
    bail!("the engine stopped in mid-answer")
}

/// Projections on the best layer of each vector, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Projections {
    /// At the last prompt token.
    pub prompt_last: Vec<f64>,
    /// Mean over response tokens; `None` for an empty response.
    pub response_avg: Option<Vec<f64>>,
}

/// Probes on the best layer of each vector.
///
/// # Errors
/// If a vector is zero there, as an imported one may be.
pub fn probes(vectors: &[OpenVector]) -> anyhow::Result<Arc<[Probe]>> {
    vectors
        .iter()
        .map(|vector| {
            let probe = Probe::new(vector.file.best_layer() as usize, vector.best()?);
            probe.with_context(|| format!("{} at layer {}", vector.path.display(), vector.file.best_layer()))
        })
        .collect()
}

/// Reads a response and projects it.
///
/// # Errors
/// If the engine refuses or fails.
pub async fn project(
    engine: &Engine,
    conversation: &Conversation,
    response: Vec<u32>,
    probes: Arc<[Probe]>,
) -> anyhow::Result<Projections> {
    let request =
        ScoreRequest { prompt: prompt_tokens(engine, conversation)?, response, probes, ..ScoreRequest::default() };
    let score = engine.score(request).await.with_context(|| format!("line {}", conversation.line))?;
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    Ok(Projections { response_avg: score.response_avg().map(wide), prompt_last: wide(score.prompt) })
}

/// Mean activations of a response at every layer.
///
/// # Errors
/// If the engine refuses or fails.
pub async fn states(engine: &Engine, conversation: &Conversation, response: Vec<u32>) -> anyhow::Result<MeanStates> {
    let prompt = prompt_tokens(engine, conversation)?;
    let request = ScoreRequest { prompt, response, capture: Capture::MeanStates, ..ScoreRequest::default() };
    let score = engine.score(request).await.with_context(|| format!("line {}", conversation.line))?;
    score.states.context("the engine returned no activations")
}

/// Does something for each conversation, many at a time, results in their order, with a progress bar.
///
/// # Errors
/// The first that occurs.
pub async fn for_each<'a, T>(
    title: &'static str,
    conversations: &'a [Conversation],
    work: impl AsyncFn(&'a Conversation) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let bar = bar(title, conversations.len());
    let results = stream::iter(conversations)
        .map(|conversation| async {
            let result = work(conversation).await?;
            bar.inc(1);
            anyhow::Ok(result)
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await;
    bar.finish();
    results
}
