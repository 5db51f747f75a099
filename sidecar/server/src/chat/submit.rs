//! From a checked request to choices that are being written.

use super::call::Callables;
use super::coherence::CoherenceCheck;
use super::guarded::{GuardedGeneration, Prompt, Setup};
use super::reasoning::ReasoningReader;
use super::request::{ChatRequest, Reasoning};
use super::retry::Retry;
use super::{grammar, prompt};
use crate::http::ApiError;
use crate::runtime::{ActiveModel, AppState, interventions};
use crate::session::{Record, SectionReader, begun};
use personaguard_guard::{Decision, Plan};
use personaguard_model::{GenerateRequest, SubmitError, VectorError};
use std::sync::Arc;
use tracing::Span;

/// A request, and what it is answered under.
pub(super) struct ChatJob {
    pub(super) app: Arc<AppState>,
    pub(super) active: Arc<ActiveModel>,
    pub(super) request: ChatRequest,
    /// How each choice begins.
    pub(super) decision: Decision,
    pub(super) span: Span,
    /// Id of the response.
    pub(super) id: String,
}

/// Submits each choice to the engine, and says how many tokens the prompt has. It is read for the
/// first choice; the others take it from the prefix cache.
pub(super) async fn submit(job: ChatJob) -> Result<(usize, Vec<GuardedGeneration>), ApiError> {
    let records: Vec<_> = (0..job.request.n).map(|choice| job.record(choice)).collect();
    let generate = prepare(&job.active, &job.request, job.decision.plan()).await?;
    let callables = callables(&job.active, &job.request);
    let unexplained = job.unexplained_prompt(&records, &generate.prompt).await;
    let mut generations: Vec<GuardedGeneration> = Vec::with_capacity(records.len());
    for (choice, record) in records.into_iter().enumerate() {
        if let Some(first) = generations.first_mut() {
            first.prompt_read().await;
        }
        match job.submit_choice(generate.clone(), choice, record, callables.clone(), &unexplained) {
            Ok(generation) => generations.push(generation),
            Err(error) => {
                generations.into_iter().for_each(GuardedGeneration::forget);
                return Err(error);
            }
        }
    }
    Ok((generate.prompt.len(), generations))
}

impl ChatJob {
    /// The record of a choice. Its id is the response's, with its number where it is not the first.
    fn record(&self, choice: usize) -> Record {
        let id = if choice == 0 { self.id.clone() } else { format!("{}-{choice}", self.id) };
        Record::new(Arc::clone(&self.app), self.span.clone(), id)
    }

    /// The prompt's tokens, where conversations are recorded and the tokens do not follow from the
    /// messages alone.
    async fn unexplained_prompt(&self, records: &[Record], prompt: &[u32]) -> Vec<u32> {
        let is_recorded = records.iter().any(|record| record.wants_conversation(&self.decision));
        let model = self.active.engine.model();
        match !is_recorded || prompt::follows_from_messages(model, &self.request, prompt).await {
            true => Vec::new(),
            false => prompt.to_vec(),
        }
    }

    /// How reasoning is told apart: for the policies, and for the client. Only a chat has
    /// reasoning, and only an answer that may have any words.
    fn reasoning_readers(&self, prompt: &[u32]) -> (SectionReader, Option<ReasoningReader>) {
        let request = &self.request;
        if request.text.is_some() {
            return (SectionReader::undivided(), None);
        }
        let model = self.active.engine.model();
        let begun = request.is_free().then(|| begun(model, prompt)).flatten();
        let is_told_apart = request.reasoning != Reasoning::InContent;
        let is_shown = request.reasoning == Reasoning::Apart;
        let reader = is_told_apart.then(|| ReasoningReader::new(begun, is_shown));
        (SectionReader::of_model(begun), reader)
    }

    fn submit_choice(
        &self,
        mut generate: GenerateRequest,
        choice: usize,
        record: Record,
        callables: Option<Arc<Callables>>,
        unexplained: &[u32],
    ) -> Result<GuardedGeneration, ApiError> {
        let (app, active, decision) =
            (Arc::clone(&self.app), Arc::clone(&self.active), self.decision.fresh());
        generate.sampling.seed =
            generate.sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
        let prompt = record.wants_conversation(&decision).then(|| Prompt {
            messages: self.request.messages.clone(),
            tokens: unexplained.to_vec(),
        });
        let (sections, reasoning) = self.reasoning_readers(&generate.prompt);
        let setup = Setup {
            retry: Retry::new(&generate, decision.plan()),
            coherence: CoherenceCheck::new(app, Arc::clone(&active), &decision, &generate.prompt),
            with_logprobs: self.request.logprobs.is_some(),
            report: self.request.report,
            sections,
            reasoning,
            active,
            record,
            callables,
            prompt,
        };
        let generation =
            setup.active.engine.submit(generate).map_err(|error| submit_error(&error))?;
        Ok(GuardedGeneration::new(generation, decision, setup))
    }
}

async fn prepare(
    active: &ActiveModel,
    request: &ChatRequest,
    plan: &Arc<Plan>,
) -> Result<GenerateRequest, ApiError> {
    let model = Arc::clone(active.engine.model());
    let grammar = grammar::compile(&model, request).await?;
    let prompt = prompt::tokens(&model, request).await?;
    let limit = model.context_length();
    // More than is left is cut to what is left, as in llama.cpp.
    let least = request.max_tokens.unwrap_or(1).min(1);
    if prompt.len() + least > limit {
        return Err(ApiError::context_length(prompt.len() + least, limit, prompt.len()));
    }
    let left = limit - prompt.len();
    let (taps, changes) = if Arc::ptr_eq(plan, &active.plan) {
        (Arc::clone(&active.taps), Arc::clone(&active.interventions))
    } else {
        let unfit = |error: VectorError| ApiError::internal(error.to_string());
        (
            interventions::taps(plan).map_err(unfit)?,
            interventions::interventions(plan).map_err(unfit)?,
        )
    };
    Ok(GenerateRequest {
        max_tokens: request.max_tokens.map_or(left, |most| most.min(left)),
        prompt,
        sampling: request.sampling.clone(),
        stop: request.stop.clone(),
        grammar,
        top_logprobs: request.logprobs.unwrap_or(0),
        taps,
        interventions: changes,
        ..GenerateRequest::default()
    })
}

/// What the choices may call.
fn callables(active: &ActiveModel, request: &ChatRequest) -> Option<Arc<Callables>> {
    let tools = request.tools.as_ref()?;
    Some(Arc::new(Callables {
        format: active.engine.model().tool_call_format(),
        names: tools.functions.iter().map(|function| function.name.clone()).collect(),
        max_calls: tools.max_calls,
    }))
}

pub(super) fn submit_error(error: &SubmitError) -> ApiError {
    match error {
        SubmitError::QueueFull { retry_after } => ApiError::busy(*retry_after),
        SubmitError::ContextTooLong { tokens, context_length } => {
            ApiError::context_length(*tokens, *context_length, *tokens)
        }
        SubmitError::Parameter { name, .. } => {
            ApiError::invalid(*name, "invalid_value", error.to_string())
        }
        SubmitError::UnknownToken { .. } => {
            ApiError::invalid("prompt", "invalid_value", error.to_string())
        }
        SubmitError::Stopped => ApiError::unavailable("stopping", error.to_string()),
        other => {
            tracing::error!(error = %other, "the engine refused a request");
            ApiError::internal("The engine refused this request.")
        }
    }
}
