//! The model's answers and their activations.

use super::journal::Journal;
use super::parts::Parts;
use super::request::Request;
use super::scored_answer::ScoredAnswer;
use super::settings::ExtractSettings;
use crate::engine::{
    GenerationSettings, IN_FLIGHT, LabEngine, generate_with_states, mean_states, request_seed,
    run_in_order, single_turn_prompt,
};
use crate::error::{Context as _, LabError, Result};
use crate::progress::Progress;
use futures::{StreamExt as _, stream};
use personaguard_model::Capture;
use personaguard_persona::extraction::incoherence;
use std::collections::BTreeMap;

/// Answers that exist already.
#[derive(Debug)]
pub(super) struct AnswerStore {
    /// Answers and ratings of an earlier run.
    pub(super) journal: Journal,
    /// Answers of other machines, with their activations.
    pub(super) parts: Parts,
}

/// Answers requests, and captures the activations. An answer in the journal is only read, which
/// gives the same activations as generating it; one in a part is taken as it is.
///
/// # Errors
/// If the engine fails, or the journal cannot be written.
pub(super) async fn answer(
    engine: &LabEngine,
    requests: &[Request],
    settings: &ExtractSettings,
    capture: Capture,
    store: &mut AnswerStore,
    title: &'static str,
) -> Result<Vec<ScoredAnswer>> {
    let bar = Progress::start(title, requests.len());
    // Answers arrive in any order. What follows must not depend on it.
    let mut answers = BTreeMap::new();
    let mut work: Vec<(&Request, Option<Vec<u32>>)> = Vec::new();
    for request in requests {
        let name = request.purpose.name();
        match store.parts.take_answer(&name) {
            Some(answer) => {
                answers.insert(request.purpose, answer);
                bar.step();
            }
            None => work.push((request, store.journal.answer(&name).map(<[u32]>::to_vec))),
        }
    }
    let mut arriving = stream::iter(work)
        .map(|(request, known)| async move {
            let is_new = known.is_none();
            let answer = match known {
                Some(tokens) => {
                    score(engine, request.clone(), tokens, &request.system, capture).await?
                }
                None => generate(engine, request, settings, capture).await?,
            };
            Ok::<_, LabError>((answer, is_new))
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(answer) = arriving.next().await {
        let (answer, is_new) = answer?;
        if is_new {
            let name = answer.request.purpose.name();
            store.journal.add_answer(name, answer.tokens.clone())?;
        }
        answers.insert(answer.request.purpose, answer);
        bar.step();
    }
    bar.finish();
    requests
        .iter()
        .map(|request| answers.remove(&request.purpose).context("an answer is missing"))
        .collect()
}

async fn generate(
    engine: &LabEngine,
    request: &Request,
    settings: &ExtractSettings,
    capture: Capture,
) -> Result<ScoredAnswer> {
    let generation = GenerationSettings {
        max_tokens: settings.tokens,
        temperature: settings.temperature,
        seed: request_seed(settings.seed, &request.purpose.name()),
    };
    let prompt = single_turn_prompt(engine, &request.system, &request.question).await?;
    let (tokens, states) = generate_with_states(engine, prompt, generation, capture).await?;
    Ok(ScoredAnswer { request: request.clone(), tokens, states })
}

/// Reads an answer under a system prompt.
async fn score(
    engine: &LabEngine,
    request: Request,
    tokens: Vec<u32>,
    system: &str,
    capture: Capture,
) -> Result<ScoredAnswer> {
    let prompt = single_turn_prompt(engine, system, &request.question).await?;
    let states = mean_states(engine, prompt, tokens.clone(), capture).await?;
    Ok(ScoredAnswer { request, tokens, states })
}

/// Rescores answers: reads them under no system prompt, which leaves out what the prompt itself
/// contributes to the activations.
///
/// # Errors
/// If the engine fails.
pub(super) async fn rescore(
    engine: &LabEngine,
    answers: &[ScoredAnswer],
    parts: &mut Parts,
) -> Result<Vec<ScoredAnswer>> {
    let work: Vec<_> = answers
        .iter()
        .map(|answer| (answer, parts.take_rescored(&answer.request.purpose.name())))
        .collect();
    run_in_order("Rescoring under a neutral prompt", work, async |(answer, known)| {
        let (request, tokens) = (answer.request.clone(), answer.tokens.clone());
        match known {
            Some(states) => Ok(ScoredAnswer { request, tokens, states }),
            None => score(engine, request, tokens, "", Capture::Response).await,
        }
    })
    .await
}

/// The coherent ones among answers, and how many are not.
pub(super) fn coherent(mut answers: Vec<ScoredAnswer>) -> (Vec<ScoredAnswer>, usize) {
    let all = answers.len();
    answers.retain(|answer| incoherence(&answer.tokens).is_none());
    let dropped = all - answers.len();
    (answers, dropped)
}
