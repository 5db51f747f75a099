//! Requests to the engine, many at a time.

use super::journal::Journal;
use super::parts::Parts;
use super::plan::{Ask, Settings};
use super::progress::Progress;
use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use futures::stream;
use personaguard_model::{
    Capture, Engine, Event, GenerateRequest, Intervention, MeanStates, Model, Probe, Sampling,
    ScoreRequest,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
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
pub(super) const IN_FLIGHT: usize = 2 * super::open::BATCH;

/// The prompt's tokens.
///
/// # Errors
/// If the model's chat template refuses the messages.
pub(super) fn prompt(model: &Model, system: &str, question: &str) -> anyhow::Result<Vec<u32>> {
    let user = json!({ "role": "user", "content": question });
    let messages = if system.is_empty() {
        vec![user]
    } else {
        vec![json!({ "role": "system", "content": system }), user]
    };
    Ok(model.chat_prompt(&messages, &Default::default())?)
}

/// What an extraction has already.
#[derive(Debug)]
pub(super) struct Store {
    /// Answers and ratings of an earlier run.
    pub(super) journal: Journal,
    /// Those of other machines, with activations.
    pub(super) parts: Parts,
}

/// Answers each request and takes in the activations meanwhile. Where the journal has the answer,
/// it is only read: activations are the same numbers either way. Where a part has it, nothing is
/// done.
///
/// # Errors
/// If the engine fails, or the journal cannot be written.
pub(super) async fn answer(
    engine: &Engine,
    asks: &[Ask],
    settings: &Settings,
    capture: Capture,
    store: &mut Store,
    title: &'static str,
) -> anyhow::Result<Vec<Read>> {
    let bar = Progress::start(title, asks.len());
    // In order of what was asked: what follows must not depend on which answer came first.
    let mut reads = BTreeMap::new();
    let mut work: Vec<(&Ask, Option<Vec<u32>>)> = Vec::new();
    for ask in asks {
        let name = ask.purpose.name();
        match store.parts.take(&name) {
            Some(read) => {
                reads.insert(ask.purpose, read);
                bar.step();
            }
            None => work.push((ask, store.journal.get(&name).map(<[u32]>::to_vec))),
        }
    }
    let mut answers = stream::iter(work)
        .map(|(ask, known)| async move {
            let is_new = known.is_none();
            let read = match known {
                Some(tokens) => reread(engine, ask.clone(), tokens, &ask.system, capture).await?,
                None => generate(engine, ask, settings, capture).await?,
            };
            anyhow::Ok((read, is_new))
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        let (read, is_new) = answer?;
        if is_new {
            store.journal.put(read.ask.purpose.name(), read.tokens.clone())?;
        }
        reads.insert(read.ask.purpose, read);
        bar.step();
    }
    bar.finish();
    asks.iter().map(|ask| reads.remove(&ask.purpose).context("an answer is missing")).collect()
}

async fn generate(
    engine: &Engine,
    ask: &Ask,
    settings: &Settings,
    capture: Capture,
) -> anyhow::Result<Read> {
    let how = Answering {
        tokens: settings.tokens,
        temperature: settings.temperature,
        seed: seed_of(settings.seed, &ask.purpose.name()),
    };
    let request = GenerateRequest {
        capture,
        ..how.request(prompt(engine.model(), &ask.system, &ask.question)?)
    };
    let (tokens, states) = finish(engine, request).await?;
    Ok(Read {
        ask: ask.clone(),
        tokens,
        states: *states.context("the engine returned no activations")?,
    })
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

impl Answering {
    fn request(self, prompt: Vec<u32>) -> GenerateRequest {
        GenerateRequest {
            prompt,
            max_tokens: self.tokens,
            sampling: Sampling {
                temperature: self.temperature,
                seed: Some(self.seed),
                ..Sampling::default()
            },
            ..GenerateRequest::default()
        }
    }
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
    let request =
        GenerateRequest { interventions: steering.into_iter().collect(), ..how.request(prompt) };
    Ok(finish(engine, request).await?.0)
}

/// An answer with its projection.
#[derive(Clone, Debug)]
pub(super) struct Projected {
    /// Its tokens.
    pub(super) tokens: Vec<u32>,
    /// Mean projection over them; 0 for an empty answer.
    pub(super) projection: f64,
}

/// The model's answer under steering, with its mean projection on one probe.
///
/// # Errors
/// If the engine refuses or fails.
pub(super) async fn steered(
    engine: &Engine,
    prompt: Vec<u32>,
    how: Answering,
    steering: Option<Intervention>,
    probes: Arc<[Probe]>,
) -> anyhow::Result<Projected> {
    let request = GenerateRequest {
        interventions: steering.into_iter().collect(),
        probes,
        ..how.request(prompt)
    };
    let mut generation = engine.submit(request)?;
    let mut answer = Projected { tokens: Vec::new(), projection: 0.0 };
    while let Some(event) = generation.next().await {
        match event {
            Event::Token(token) => {
                answer.tokens.push(token.id);
                answer.projection += token.projections.first().copied().map_or(f64::NAN, f64::from);
            }
            Event::Failed(error) => return Err(error.into()),
            Event::Prompt(_) => {}
            Event::End(_) => {
                answer.projection /= answer.tokens.len().max(1) as f64;
                return Ok(answer);
            }
        }
    }
    bail!("the engine stopped in mid-answer")
}

async fn finish(
    engine: &Engine,
    request: GenerateRequest,
) -> anyhow::Result<(Vec<u32>, Option<Box<MeanStates>>)> {
    let mut generation = engine.submit(request)?;
    let mut tokens = Vec::new();
    while let Some(event) = generation.next().await {
        match event {
            Event::Token(token) => tokens.push(token.id),
            Event::Failed(error) => return Err(error.into()),
            Event::Prompt(_) => {}
            Event::End(end) => return Ok((tokens, end.states)),
        }
    }
    bail!("the engine stopped in mid-answer")
}

/// A stream of its own for each request, so that the order in which they run changes nothing.
pub(super) fn seed_of(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{name}"));
    digest.first_chunk::<8>().map_or(seed, |bytes| u64::from_le_bytes(*bytes))
}

/// Reads answers again under no system prompt; what the prompt itself says is not read.
///
/// # Errors
/// If the engine fails.
pub(super) async fn rescore(
    engine: &Engine,
    answers: &[Read],
    parts: &mut Parts,
) -> anyhow::Result<Vec<Read>> {
    let bar = Progress::start("Rescoring under a neutral prompt", answers.len());
    let work: Vec<_> = answers
        .iter()
        .map(|answer| (answer, parts.take_reread(&answer.ask.purpose.name())))
        .collect();
    let reads = stream::iter(work).map(|(answer, known)| {
        let bar = &bar;
        async move {
            let (ask, tokens) = (answer.ask.clone(), answer.tokens.clone());
            let read = match known {
                Some(states) => Read { ask, tokens, states },
                None => reread(engine, ask, tokens, "", Capture::ResponseStates).await?,
            };
            bar.step();
            anyhow::Ok(read)
        }
    });
    let reads: Vec<_> = reads.buffered(IN_FLIGHT).collect().await;
    bar.finish();
    reads.into_iter().collect()
}

async fn reread(
    engine: &Engine,
    ask: Ask,
    tokens: Vec<u32>,
    system: &str,
    capture: Capture,
) -> anyhow::Result<Read> {
    let request = ScoreRequest {
        prompt: prompt(engine.model(), system, &ask.question)?,
        response: tokens.clone(),
        capture,
        skip_logprobs: true,
        ..ScoreRequest::default()
    };
    let score = engine.score(request).await?;
    let states = score.states.context("the engine returned no activations")?;
    Ok(Read { ask, tokens, states })
}

/// Log-likelihood of an answer in nats, from one teacher-forced pass.
///
/// # Errors
/// If the engine fails.
pub(super) async fn log_likelihood(
    engine: &Engine,
    prompt: Vec<u32>,
    tokens: &[u32],
    steering: Option<Intervention>,
) -> anyhow::Result<f64> {
    let request = ScoreRequest {
        prompt,
        response: tokens.to_vec(),
        interventions: steering.into_iter().collect::<Arc<[_]>>(),
        ..ScoreRequest::default()
    };
    Ok(engine.score(request).await?.log_likelihood())
}
