//! A request that makes a model write: what the policies say of it, what the prompt's score says,
//! then the response.

use super::answer::{Naming, Unreadable};
use super::context::Context;
use super::echo::Echo;
use super::exchange::GuardedExchange;
use super::headers::Asked;
use super::path::Api;
use super::request::ProxiedRequest;
use super::respond::respond;
use super::scorer::PassScorer;
use super::scoring::Scorer;
use super::transcript::{PromptContext, Transcript};
use super::whole;
use crate::http::{ApiError, Received, discard, is_encoded, receive};
use crate::runtime::ActiveModel;
use crate::session::{SectionReader, begun, decide, overrides_only, system_prompt_key};
use crate::telemetry::traces::chat_span;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use personaguard_guard::{Decision, Overrides, Plan, Stop, UnscoredReason};
use personaguard_terms::Score;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) async fn answer(
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
    let limits = context.limits.with_body_bytes(active.max_request_bytes);
    let mut received = receive(body, limits).await?;
    let mut request = read(api, &parts, &received);
    let overrides = match request.as_mut().ok().and_then(|request| request.extension.take()) {
        None => Overrides::new(),
        Some(extension) => {
            rewrite(&mut parts, &mut received, &request);
            overrides_only(extension)?
        }
    };
    let mut decision = decide(&context.app, &active, &overrides)?;
    if let Ok(request) = &request {
        decision = decision.with_system_prompt(system_prompt_key(request.messages()));
    }
    let mut transcript = Transcript::new(Arc::clone(&context.app), decision, span);
    if transcript.plan().holds_back() {
        let knows_tokens = matches!(api, Api::Chat | Api::Completions)
            && context.knows_tokens.load(Ordering::Relaxed);
        if let Some(request) = request.as_mut().ok().filter(|_| knows_tokens) {
            request.ask_for_tokens();
        }
        rewrite(&mut parts, &mut received, &request);
        transcript.set_knows_tokens(Arc::clone(&context.knows_tokens));
    }
    let tokenized = tokenize(&active, transcript.plan(), request).await;
    let (mut request, prompts) = match tokenized.and_then(|(request, prompts)| {
        fit(&active, &prompts)?;
        Ok((request, prompts))
    }) {
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
    if request.echo {
        let echoes = request.echoes(active.engine.model());
        transcript.set_echo(Echo::new(echoes, request.n));
    }
    transcript.set_sections(match (api, prompts.as_slice()) {
        (Api::Chat | Api::Messages | Api::Responses, [prompt]) => {
            SectionReader::of_server(begun(active.engine.model(), prompt))
        }
        _ => SectionReader::undivided(),
    });
    if let Some(name) = &request.model {
        context.names.learn(name);
    }
    request.forget_text();
    let naming = Naming::new(api, request.model.clone().unwrap_or_else(|| active.name.clone()));
    let deadline = active.scoring_deadline.unwrap_or(context.timeouts.score);
    let scorer = PassScorer { active, prompts, per_prompt: request.n, deadline };
    if gates_prompt(transcript.plan()) {
        scorer.step(&mut transcript, true).await;
        match transcript.stop() {
            Some(Stop::Unscorable) => {
                transcript.forget();
                return Err(ApiError::unscorable());
            }
            Some(_) => {
                let text = transcript.redaction(0);
                transcript.close(None);
                return Ok(whole::blocked(naming, &request, &scorer, text.as_deref()));
            }
            None => {}
        }
    }
    // A compressed response could not be read.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let expected = scorer.prompts.len() * request.n;
    let silence = context.timeouts.upstream;
    let bodies = context.limits.bodies;
    let exchange = GuardedExchange {
        transcript,
        scorer: Scorer::Passes(scorer),
        naming,
        expected,
        is_stream: request.stream,
        silence,
        asked: Asked::by(&parts.headers),
        bodies,
    };
    let request = Request::from_parts(parts, received.into_body());
    respond(&context.forwarder, exchange, request).await
}

fn read(api: Api, parts: &Parts, received: &Received) -> Result<ProxiedRequest, Unreadable> {
    ProxiedRequest::read(api, readable(parts, received)?)
}

/// The body of a request, where it can be read.
pub(super) fn readable<'a>(parts: &Parts, received: &'a Received) -> Result<&'a Bytes, Unreadable> {
    match received {
        Received::Whole(_) if is_encoded(&parts.headers) => {
            Err(Unreadable("the body is compressed (Content-Encoding)"))
        }
        Received::Whole(bytes) => Ok(bytes),
        Received::TooLong(..) => Err(Unreadable(
            "the body is longer than spec.runtime.maxRequestBytes of the PersonaModel",
        )),
    }
}

/// Puts what was read in place of what came, so that the upstream server reads the same.
fn rewrite(
    parts: &mut Parts,
    received: &mut Received,
    request: &Result<ProxiedRequest, Unreadable>,
) {
    if let (Received::Whole(bytes), Ok(request)) = (received, request) {
        bytes.clone_from(&request.body);
        is_json(parts);
    }
}

/// The body was written anew, as JSON.
pub(super) fn is_json(parts: &mut Parts) {
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

/// Whether the prompts leave room for an answer in the context of the model that scores.
fn fit(active: &ActiveModel, prompts: &[Vec<u32>]) -> Result<(), Unreadable> {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or_default();
    match longest < active.engine.context_length() {
        true => Ok(()),
        false => Err(Unreadable(
            "the prompt is longer than the context of the model that scores it: raise \
             spec.runtime.contextLength of the PersonaModel",
        )),
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
pub(super) async fn unscored(
    context: &Context,
    mut transcript: Transcript,
    Unreadable(why): Unreadable,
    request: Request,
) -> Result<Response, ApiError> {
    transcript.fail(UnscoredReason::NotUnderstood);
    if transcript.stop().is_some() {
        transcript.forget();
        discard(request.into_body()).await;
        let message = format!(
            "A policy on this service refuses what cannot be scored, and this request cannot: \
             {why}. It would pass unguarded with `unscorableRequests: Pass` in the PersonaPolicy."
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
    plan.rules.iter().any(|rule| rule.score == Score::PromptLast && rule.action.kind().cuts())
}
