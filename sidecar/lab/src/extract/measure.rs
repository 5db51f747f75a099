//! Projections of conversations, for the commands that measure instead of extract.

use super::conversations::Conversation;
use super::open::OpenVector;
use super::progress::Progress;
use super::responder::{Answering, IN_FLIGHT, log_likelihood, prompt, seed_of, write};
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use personaguard_model::{Capture, Engine, MeanStates, Probe, ScoreRequest};
use personaguard_persona::screening::ProjectionScale;
use personaguard_persona::{Polarity, TraitSpec};
use serde_json::json;
use std::sync::Arc;

/// Contrasts of a trait that its likelihood ratio is the mean over.
const CONTRASTS: usize = 3;

/// Probes of a request, at most.
const MAX_PROBES: usize = 256;

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
pub async fn own_answer(
    engine: &Engine,
    conversation: &Conversation,
    how: Answering,
) -> anyhow::Result<Vec<u32>> {
    let how = Answering { seed: seed_of(how.seed, &conversation.line.to_string()), ..how };
    let prompt = prompt_tokens(engine, conversation)?;
    write(engine, prompt, how, None).await.with_context(|| format!("line {}", conversation.line))
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
pub(super) fn probes(vectors: &[OpenVector]) -> anyhow::Result<Arc<[Probe]>> {
    vectors
        .iter()
        .map(|vector| {
            let probe = Probe::new(vector.file.best_layer() as usize, vector.best()?);
            probe.with_context(|| {
                format!("{} at layer {}", vector.path.display(), vector.file.best_layer())
            })
        })
        .collect()
}

/// Probes at the layers of each vector's gauge, one after another.
///
/// # Errors
/// If there are too many, or a vector is zero at one of its layers.
pub fn gauge_probes(
    vectors: &[OpenVector],
    gauges: &[ProjectionScale],
) -> anyhow::Result<Arc<[Probe]>> {
    let at = vectors
        .iter()
        .zip(gauges)
        .flat_map(|(vector, gauge)| gauge.layers().map(move |layer| (vector, layer)));
    let probes = at
        .map(|(vector, layer)| {
            let row = vector
                .file
                .layer(layer)
                .with_context(|| format!("{} lacks a layer", vector.path.display()))?;
            Probe::new(layer as usize, row)
                .with_context(|| format!("{} at layer {layer}", vector.path.display()))
        })
        .collect::<anyhow::Result<Arc<[Probe]>>>()?;
    if probes.len() > MAX_PROBES {
        bail!("these are too many vectors at once: screen for fewer, or give --as-in-paper");
    }
    Ok(probes)
}

/// What each gauge reads from projections in the order of [`gauge_probes`].
pub fn read_gauges(gauges: &[ProjectionScale], projections: &[f64]) -> Vec<f64> {
    let mut rest = projections;
    let read = |gauge: &ProjectionScale| {
        let (own, others) = rest.split_at(gauge.layers().len().min(rest.len()));
        rest = others;
        gauge.score(own)
    };
    gauges.iter().map(read).collect()
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
    let prompt = prompt_tokens(engine, conversation)?;
    read(engine, prompt, response, probes)
        .await
        .with_context(|| format!("line {}", conversation.line))
}

/// As [`project`], for one question under a system prompt.
///
/// # Errors
/// If the engine refuses or fails.
pub(super) async fn project_text(
    engine: &Engine,
    system: &str,
    question: &str,
    response: Vec<u32>,
    probes: Arc<[Probe]>,
) -> anyhow::Result<Projections> {
    read(engine, prompt(engine.model(), system, question)?, response, probes).await
}

async fn read(
    engine: &Engine,
    prompt: Vec<u32>,
    response: Vec<u32>,
    probes: Arc<[Probe]>,
) -> anyhow::Result<Projections> {
    let score = engine
        .score(ScoreRequest {
            prompt,
            response,
            probes,
            skip_logprobs: true,
            ..ScoreRequest::default()
        })
        .await?;
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    Ok(Projections {
        response_avg: score.response_avg().map(wide),
        prompt_last: wide(score.prompt),
    })
}

/// The conversation's prompts under system prompts that ask for the trait, in place of its own,
/// each with that which asks for its absence.
///
/// # Errors
/// If the chat template refuses the messages.
pub fn contrasted_prompts(
    engine: &Engine,
    conversation: &Conversation,
    spec: &TraitSpec,
) -> anyhow::Result<Vec<[Vec<u32>; 2]>> {
    let rest = conversation.prompt.iter().skip_while(|message| message["role"] == "system");
    let prompt = |system: String| {
        let messages: Vec<_> = [json!({ "role": "system", "content": system })]
            .into_iter()
            .chain(rest.clone().cloned())
            .collect();
        engine.model().chat_prompt(&messages, &Default::default())
    };
    let of = |contrast| {
        let [positive, negative] = [Polarity::Positive, Polarity::Negative]
            .map(|polarity| prompt(spec.system_prompt(contrast, polarity)));
        Ok([positive?, negative?])
    };
    let prompts: anyhow::Result<Vec<_>> =
        spec.instructions.iter().take(CONTRASTS).map(of).collect();
    prompts.with_context(|| format!("line {}", conversation.line))
}

/// Nats by which a response is likelier where the trait is asked for than where its absence is:
/// mean over the trait's first contrasts.
///
/// # Errors
/// If the engine refuses or fails.
pub async fn likelihood_ratio(
    engine: &Engine,
    conversation: &Conversation,
    response: &[u32],
    spec: &TraitSpec,
) -> anyhow::Result<f64> {
    let prompts = contrasted_prompts(engine, conversation, spec)?;
    let mut ratio = 0.0;
    for (prompt, sign) in prompts.iter().flat_map(|[asked, not]| [(asked, 1.0), (not, -1.0)]) {
        let nats = log_likelihood(engine, prompt.clone(), response, None).await;
        ratio += sign * nats.with_context(|| format!("line {}", conversation.line))?
            / prompts.len() as f64;
    }
    Ok(ratio)
}

/// Mean activations of a response at every layer.
///
/// # Errors
/// If the engine refuses or fails.
pub async fn states(
    engine: &Engine,
    conversation: &Conversation,
    response: Vec<u32>,
) -> anyhow::Result<MeanStates> {
    let prompt = prompt_tokens(engine, conversation)?;
    let capture = Capture::MeanStates;
    let request =
        ScoreRequest { prompt, response, capture, skip_logprobs: true, ..ScoreRequest::default() };
    let score =
        engine.score(request).await.with_context(|| format!("line {}", conversation.line))?;
    score.states.context("the engine returned no activations")
}

/// Does something for each conversation, many at a time, results in their order, with a progress
/// bar.
///
/// # Errors
/// The first that occurs.
pub async fn for_each<'a, T>(
    title: &'static str,
    conversations: &'a [Conversation],
    work: impl AsyncFn(&'a Conversation) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let bar = Progress::start(title, conversations.len());
    let results = stream::iter(conversations)
        .map(|conversation| async {
            let result = work(conversation).await?;
            bar.step();
            anyhow::Ok(result)
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await;
    bar.finish();
    results
}
