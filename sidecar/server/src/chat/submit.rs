//! From a checked request to choices that are being written.

use super::call::Callables;
use super::coherence::CoherenceCheck;
use super::grammar;
use super::guarded::{GuardedGeneration, Prompt, Setup};
use super::request::{ChatRequest, TextPrompt};
use super::retry::Retry;
use crate::http::ApiError;
use crate::runtime::{ActiveModel, AppState, interventions};
use crate::session::Record;
use axum::http::StatusCode;
use personaguard_guard::{Decision, Plan};
use personaguard_model::{GenerateRequest, SubmitError, TemplateError, VectorError};
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

/// Submits each choice to the engine. The prompt is read for the first; the others take it from the
/// prefix cache.
pub(super) async fn submit(job: ChatJob) -> Result<Vec<GuardedGeneration>, ApiError> {
    let records: Vec<_> = (0..job.request.n).map(|choice| job.record(choice)).collect();
    let generate = prepare(&job.active, &job.request, job.decision.plan()).await?;
    let callables = callables(&job.active, &job.request);
    let mut generations: Vec<GuardedGeneration> = Vec::with_capacity(records.len());
    for (choice, record) in records.into_iter().enumerate() {
        if let Some(first) = generations.first_mut() {
            first.prompt_read().await;
        }
        match job.submit_choice(generate.clone(), choice, record, callables.clone()) {
            Ok(generation) => generations.push(generation),
            Err(error) => {
                generations.into_iter().for_each(GuardedGeneration::forget);
                return Err(error);
            }
        }
    }
    Ok(generations)
}

impl ChatJob {
    /// The record of a choice. Its id is the response's, with its number where it is not the first.
    fn record(&self, choice: usize) -> Record {
        let id = if choice == 0 { self.id.clone() } else { format!("{}-{choice}", self.id) };
        Record::new(Arc::clone(&self.app), self.span.clone(), id)
    }

    fn submit_choice(
        &self,
        mut generate: GenerateRequest,
        choice: usize,
        record: Record,
        callables: Option<Arc<Callables>>,
    ) -> Result<GuardedGeneration, ApiError> {
        let (app, active, decision) =
            (Arc::clone(&self.app), Arc::clone(&self.active), self.decision.fresh());
        generate.sampling.seed =
            generate.sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
        let prompt = record.wants_conversation(&decision).then(|| Prompt {
            messages: self.request.messages.clone(),
            tokens: match self.request.has_calls() || self.request.text.is_some() {
                true => generate.prompt.clone(),
                false => Vec::new(),
            },
        });
        let setup = Setup {
            retry: Retry::new(&generate, decision.plan()),
            coherence: CoherenceCheck::new(app, Arc::clone(&active), &decision, &generate.prompt),
            with_logprobs: self.request.logprobs.is_some(),
            report: self.request.report,
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
    let (messages, text) = (request.messages.clone(), request.text.clone());
    let tools: Vec<_> = request
        .tools
        .iter()
        .flat_map(|tools| &tools.functions)
        .map(|f| f.template.clone())
        .collect();
    // A long conversation takes a while to tokenize.
    let prompt = tokio::task::spawn_blocking(move || match text {
        None => model.tool_prompt(&messages, &tools),
        Some(TextPrompt::Text(text)) => Ok(model.tokenizer().encode_prompt(&text)),
        Some(TextPrompt::Tokens(tokens)) => Ok(tokens),
    })
    .await;
    let prompt = match prompt {
        Ok(Ok(prompt)) => prompt,
        Ok(Err(error)) => return Err(template_error(&error)),
        Err(_) => {
            return Err(ApiError::internal("The messages could not be turned into a prompt."));
        }
    };
    let limit = active.engine.model().context_length();
    let wanted = request.max_tokens.unwrap_or(1);
    if prompt.len().saturating_add(wanted) > limit {
        return Err(ApiError::context_length(
            prompt.len().saturating_add(wanted),
            limit,
            prompt.len(),
        ));
    }
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
        max_tokens: request.max_tokens.unwrap_or(limit - prompt.len()),
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

fn template_error(error: &TemplateError) -> ApiError {
    match error {
        TemplateError::Refused(_) => {
            ApiError::invalid("messages", "invalid_value", error.to_string())
        }
        TemplateError::Missing => {
            ApiError::request(StatusCode::BAD_REQUEST, "no_chat_template", error.to_string())
        }
        TemplateError::Failed(_) => ApiError::internal(error.to_string()),
    }
}

fn submit_error(error: &SubmitError) -> ApiError {
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
