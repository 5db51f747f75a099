//! A request that makes a model write: what the failure policy says, what the prompt's score says,
//! then the response.

use super::context::Context;
use super::exchange::GuardedExchange;
use super::path::Api;
use super::payload::Unreadable;
use super::request::{ProxiedRequest, without_extension};
use super::respond::respond;
use super::scorer::Scorer;
use super::transcript::{PromptContext, Transcript};
use super::whole;
use crate::http::{ApiError, Received, is_encoded, receive};
use crate::report::ResponseFlags;
use crate::runtime::{ActiveModel, AppState};
use crate::session::{decide, not_ready, overrides_only, system_prompt_key};
use crate::telemetry::labels::Outcome;
use crate::telemetry::traces::chat_span;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use personaguard_guard::{Decision, Overrides, Plan, Stop, UnscoredReason};
use personaguard_terms::{Action, FailurePolicy, Score};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn answer(
    context: &Context,
    api: Api,
    request: Request,
) -> Result<Response, ApiError> {
    let result = match context.app.active_model() {
        None => unready(context, request).await,
        Some(active) if active.plan.policies.is_empty() => {
            return context.forwarder.send(request).await;
        }
        Some(active) => guarded(context, api, active, request).await,
    };
    if let Err(error) = &result {
        context.app.metrics.responses.observe_end(Outcome::Rejected, Duration::ZERO);
        tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
    }
    result
}

/// No model is loaded that could score.
async fn unready(context: &Context, request: Request) -> Result<Response, ApiError> {
    if context.app.snapshot().failure_policy != Some(FailurePolicy::Open) {
        return Err(not_ready(&context.app));
    }
    let response = context.forwarder.send(request).await?;
    if response.status().is_success() {
        count_unguarded(&context.app, UnscoredReason::ModelNotReady);
    }
    Ok(response)
}

fn count_unguarded(app: &AppState, fault: UnscoredReason) {
    app.metrics.responses.count_unguarded(fault);
    app.ledger.count_response(
        &Decision::new(Arc::new(Plan::default())),
        ResponseFlags { unguarded: true, ..ResponseFlags::default() },
    );
}

async fn guarded(
    context: &Context,
    api: Api,
    active: Arc<ActiveModel>,
    request: Request,
) -> Result<Response, ApiError> {
    if Decision::new(Arc::clone(&active.plan)).stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let (mut parts, body) = request.into_parts();
    let span = chat_span(&active.name, &parts.headers);
    let mut received = receive(body, context.limits).await?;
    let mut request = read(api, &parts, &received);
    let overrides = match request.as_mut().ok().and_then(|request| request.extension.take()) {
        None => Overrides::new(),
        Some(extension) => {
            if let Received::Whole(bytes) = &mut received {
                *bytes = without_extension(bytes).into();
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            overrides_only(extension)?
        }
    };
    let mut decision = decide(&context.app, &active, &overrides)?;
    if let Ok(request) = &request {
        decision = decision.with_system_prompt(system_prompt_key(request.messages()));
    }
    let mut transcript = Transcript::new(Arc::clone(&context.app), decision, span);
    let (request, prompts) = match tokenize(&active, transcript.plan(), request).await {
        Ok(tokenized) => tokenized,
        Err(unreadable) => {
            let request = Request::from_parts(parts, received.into_body());
            return unscored(context, transcript, unreadable, request).await;
        }
    };
    if transcript.wants_conversation() {
        let (messages, prompts) = (request.messages().to_vec(), prompts.clone());
        transcript.set_prompt(PromptContext { messages, prompts, per_prompt: request.n });
    }
    let scorer =
        Scorer { active, prompts, per_prompt: request.n, deadline: context.timeouts.score };
    if gates_prompt(transcript.plan()) {
        scorer.step(&mut transcript, true).await;
        match transcript.stop() {
            Some(Stop::Unscorable) => {
                transcript.forget();
                return Err(ApiError::unscorable());
            }
            Some(_) => {
                let text = transcript.redaction(0).unwrap_or_default();
                transcript.close(None);
                return Ok(whole::blocked(api, &request, &scorer, &text));
            }
            None => {}
        }
    }
    // A compressed response could not be read.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let expected = scorer.prompts.len() * request.n;
    let silence = context.timeouts.upstream;
    let bodies = context.limits.bodies;
    let exchange = GuardedExchange { transcript, scorer, api, expected, silence, bodies };
    let request = Request::from_parts(parts, received.into_body());
    respond(&context.forwarder, exchange, request).await
}

fn read(api: Api, parts: &Parts, received: &Received) -> Result<ProxiedRequest, Unreadable> {
    match received {
        Received::Whole(_) if is_encoded(&parts.headers) => {
            Err(Unreadable("the body is compressed"))
        }
        Received::Whole(bytes) => ProxiedRequest::read(api, bytes),
        Received::TooLong(..) => Err(Unreadable("the body is longer than the limit")),
    }
}

/// The request with the tokens of each prompt.
async fn tokenize(
    active: &ActiveModel,
    plan: &Plan,
    request: Result<ProxiedRequest, Unreadable>,
) -> Result<(ProxiedRequest, Vec<Vec<u32>>), Unreadable> {
    let request = request?;
    if plan.vectors.is_empty() {
        // No policy looks at this response.
        return Ok((request, vec![Vec::new()]));
    }
    let model = Arc::clone(active.engine.model());
    // A long conversation takes a while to tokenize.
    let task =
        tokio::task::spawn_blocking(move || request.tokens(&model).map(|tokens| (request, tokens)));
    task.await.unwrap_or(Err(Unreadable("the prompt could not be read")))
}

/// A request that cannot be scored: refused, or passed on and counted, as the policies say.
async fn unscored(
    context: &Context,
    mut transcript: Transcript,
    Unreadable(why): Unreadable,
    request: Request,
) -> Result<Response, ApiError> {
    transcript.fail(UnscoredReason::NotUnderstood);
    if transcript.stop().is_some() {
        transcript.forget();
        let message = format!(
            "A policy on this service refuses what cannot be scored, and this request cannot: {why}."
        );
        return Err(ApiError::request(StatusCode::BAD_REQUEST, "guard_not_understood", message));
    }
    let response = context.forwarder.send(request).await;
    if response.as_ref().is_ok_and(|response| response.status().is_success()) {
        transcript.close(None);
    } else {
        transcript.forget();
    }
    response
}

/// Whether the prompt's score decides before anything is written.
fn gates_prompt(plan: &Plan) -> bool {
    plan.rules.iter().any(|rule| rule.score == Score::PromptLast && rule.action >= Action::Redact)
}
