//! Requests to the engine, many at a time.

use super::journal::Journal;
use super::plan::{Ask, Settings};
use super::progress::Progress;
use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use futures::stream;
use personaguard_model::{
    Capture, Engine, Event, GenerateRequest, Intervention, MeanStates, Model, Sampling, Score, ScoreRequest,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// An answer with what the model's activations were while reading it.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// What it answers.
    pub(super) ask: Ask,
    /// Its tokens, without the one that ends it.
    pub(super) tokens: Vec<u32>,
    /// Mean activations.
    pub(super) states: MeanStates,
}

/// Requests in flight: enough to fill the engine's batch, few enough to bound memory.
pub(super) const IN_FLIGHT: usize = 32;

/// The prompt's tokens.
///
/// # Errors
/// If the model's chat template refuses the messages.
pub(super) fn prompt(model: &Model, system: &str, question: &str) -> anyhow::Result<Vec<u32>> {
    let user = json!({ "role": "user", "content": question });
    let messages =
        if system.is_empty() { vec![user] } else { vec![json!({ "role": "system", "content": system }), user] };
    Ok(model.chat_prompt(&messages, &Default::default())?)
}

/// Answers each request, unless the journal has its answer.
///
/// # Errors
/// If the engine fails, or the journal cannot be written.
pub(super) async fn answer(
    engine: &Engine,
    asks: &[Ask],
    settings: &Settings,
    journal: &mut Journal,
    title: &'static str,
) -> anyhow::Result<Vec<Vec<u32>>> {
    let bar = Progress::start(title, asks.len());
    let open: Vec<&Ask> = asks.iter().filter(|ask| journal.get(&ask.purpose.name()).is_none()).collect();
    bar.skip(asks.len() - open.len());
    let mut answers = stream::iter(open)
        .map(|ask| async move { anyhow::Ok((ask.purpose.name(), generate(engine, ask, settings).await?)) })
        .buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        let (name, tokens) = answer?;
        journal.put(name, tokens)?;
        bar.step();
    }
    bar.finish();
    asks.iter()
        .map(|ask| {
            journal.get(&ask.purpose.name()).map(<[u32]>::to_vec).context("an answer is missing from the journal")
        })
        .collect()
}

async fn generate(engine: &Engine, ask: &Ask, settings: &Settings) -> anyhow::Result<Vec<u32>> {
    let how = Answering {
        tokens: settings.tokens,
        temperature: settings.temperature,
        seed: seed_of(settings.seed, &ask.purpose.name()),
    };
    write(engine, prompt(engine.model(), &ask.system, &ask.question)?, how, None).await
}

/// How an answer is made.
#[derive(Clone, Copy, Debug)]
pub struct Answering {
    /// Longest answer in tokens.
    pub tokens: usize,
    /// Sampling temperature; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Seed.
    pub seed: u64,
}

/// The model's answer to a prompt, without the token that ends it.
///
/// # Errors
/// If the engine refuses or fails.
pub(super) async fn write(
    engine: &Engine,
    prompt: Vec<u32>,
    how: Answering,
    steering: Option<Intervention>,
) -> anyhow::Result<Vec<u32>> {
    let mut generation = engine.submit(GenerateRequest {
        prompt,
        max_tokens: how.tokens,
        sampling: Sampling { temperature: how.temperature, seed: Some(how.seed), ..Sampling::default() },
        interventions: steering.into_iter().collect(),
        ..GenerateRequest::default()
    })?;
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

/// A stream of its own for each request, so that the order in which they run changes nothing.
pub(super) fn seed_of(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{name}"));
    digest.first_chunk::<8>().map_or(seed, |bytes| u64::from_le_bytes(*bytes))
}

/// Reads each answer as it was given, under its own system prompt, or all under a neutral one.
///
/// # Errors
/// If the engine fails.
pub(super) async fn read(
    engine: &Engine,
    answers: Vec<(Ask, Vec<u32>)>,
    system: Option<&str>,
    title: &'static str,
) -> anyhow::Result<Vec<Read>> {
    let bar = Progress::start(title, answers.len());
    let reads = stream::iter(answers).map(|(ask, tokens)| async {
        let system = system.unwrap_or(&ask.system);
        let score = score(engine, system, &ask.question, &tokens, None, Capture::MeanStates).await?;
        bar.step();
        let states = score.states.context("the engine returned no activations")?;
        anyhow::Ok(Read { ask, tokens, states })
    });
    // In order: what follows must not depend on which answer was read first.
    let reads: Vec<_> = reads.buffered(IN_FLIGHT).collect().await;
    bar.finish();
    reads.into_iter().collect()
}

/// One teacher-forced pass over an answer.
///
/// # Errors
/// If the engine fails.
pub(super) async fn score(
    engine: &Engine,
    system: &str,
    question: &str,
    tokens: &[u32],
    steering: Option<Intervention>,
    capture: Capture,
) -> anyhow::Result<Score> {
    let request = ScoreRequest {
        prompt: prompt(engine.model(), system, question)?,
        response: tokens.to_vec(),
        interventions: steering.into_iter().collect::<Arc<[_]>>(),
        capture,
        ..ScoreRequest::default()
    };
    Ok(engine.score(request).await?)
}
