//! A request that makes a model write: what the failure policy says, what the prompt's score says,
//! then the answer.

use super::path::Api;
use super::payload::Unreadable;
use super::request::{Asked, without_extension};
use super::scorer::Scorer;
use super::transcript::{Answers, Transcript};
use super::{Proxy, observed, stream, whole};
use crate::host::{Host, Serving};
use crate::http::{ApiError, Received, receive};
use crate::report::Ended;
use crate::session::{decide, not_ready, overrides_only, system_prompt};
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::chat_span;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use personaguard_api::{Action, FailurePolicy, Score};
use personaguard_guard::{Decision, Demands, Fault, Plan, Stop};
use std::sync::Arc;
use std::time::Duration;

/// What happens to an answer, settled before it begins.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) transcript: Transcript,
    pub(super) scorer: Scorer,
    pub(super) api: Api,
    /// Choices asked for, over all prompts.
    pub(super) expected: usize,
    /// Longest silence of the upstream server.
    pub(super) silence: Duration,
}

pub(super) async fn answer(
    proxy: &Proxy,
    api: Api,
    request: Request,
) -> Result<Response, ApiError> {
    let result = match proxy.host.serving() {
        None => unready(proxy, request).await,
        Some(serving) if serving.plan.policies.is_empty() => {
            return proxy.forwarder.send(request).await;
        }
        Some(serving) => judged(proxy, api, serving, request).await,
    };
    if let Err(error) = &result {
        proxy.host.metrics.response(Outcome::Rejected, Duration::ZERO);
        tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
    }
    result
}

/// No model is loaded that could score.
async fn unready(proxy: &Proxy, request: Request) -> Result<Response, ApiError> {
    if proxy.host.state().failure_policy != Some(FailurePolicy::Open) {
        return Err(not_ready(&proxy.host));
    }
    let response = proxy.forwarder.send(request).await?;
    if response.status().is_success() {
        count_unguarded(&proxy.host, Fault::NotReady);
    }
    Ok(response)
}

fn count_unguarded(host: &Host, fault: Fault) {
    host.metrics.unguarded(fault);
    host.ledger.ended(
        &Decision::new(Arc::new(Plan::default())),
        Ended { unguarded: true, ..Ended::default() },
    );
}

async fn judged(
    proxy: &Proxy,
    api: Api,
    serving: Arc<Serving>,
    request: Request,
) -> Result<Response, ApiError> {
    if Decision::new(Arc::clone(&serving.plan)).stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let (mut parts, body) = request.into_parts();
    let span = chat_span(&serving.name, &parts.headers);
    let mut received = receive(body, proxy.limits).await?;
    let mut asked = match &received {
        Received::Whole(_) if encoded(&parts.headers) => Err(Unreadable("the body is compressed")),
        Received::Whole(bytes) => Asked::read(api, bytes),
        Received::TooLong(..) => Err(Unreadable("the body is longer than the limit")),
    };
    let demands = match asked.as_mut().ok().and_then(|asked| asked.extension.take()) {
        None => Demands::new(),
        Some(extension) => {
            if let Received::Whole(bytes) = &mut received {
                *bytes = without_extension(bytes).into();
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            overrides_only(extension)?
        }
    };
    let mut decision = decide(&proxy.host, &serving, &demands)?;
    if let Ok(asked) = &asked {
        decision = decision.under(system_prompt(asked.messages()));
    }
    let mut transcript = Transcript::new(Arc::clone(&proxy.host), decision, span);
    let prepared = match asked {
        // Nobody looks at this answer.
        Ok(asked) if transcript.plan().taps.is_empty() => Ok((asked, vec![Vec::new()])),
        Ok(asked) => prepare(&serving, asked).await,
        Err(unreadable) => Err(unreadable),
    };
    let (asked, prompts) = match prepared {
        Ok(prepared) => prepared,
        Err(unreadable) => {
            return unscored(
                proxy,
                transcript,
                unreadable,
                Request::from_parts(parts, received.into_body()),
            )
            .await;
        }
    };
    if transcript.wants_conversation() {
        let (messages, prompts) = (asked.messages().to_vec(), prompts.clone());
        transcript.answers(Answers { messages, prompts, per_prompt: asked.n });
    }
    let scorer = Scorer { serving, prompts, per_prompt: asked.n, deadline: proxy.times.score };
    if gates(transcript.plan()) {
        scorer.step(&mut transcript, true).await;
        match transcript.stop() {
            Some(Stop::Unscorable) => {
                transcript.forget();
                return Err(ApiError::unscorable());
            }
            Some(_) => {
                let text = transcript.redaction(0).unwrap_or_default();
                transcript.close(None);
                return Ok(whole::blocked(api, &asked, &scorer, &text));
            }
            None => {}
        }
    }
    // What comes compressed cannot be read.
    parts.headers.remove(header::ACCEPT_ENCODING);
    let expected = scorer.prompts.len() * asked.n;
    let silence = proxy.times.upstream;
    let guard = Guard { transcript, scorer, api, expected, silence };
    respond(proxy, guard, Request::from_parts(parts, received.into_body())).await
}

async fn respond(proxy: &Proxy, mut guard: Guard, request: Request) -> Result<Response, ApiError> {
    let response = match proxy.forwarder.send(request).await {
        Ok(response) if response.status().is_success() => response,
        other => {
            guard.transcript.forget();
            return other;
        }
    };
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (events, json) = (kind.starts_with("text/event-stream"), kind.contains("json"));
    if encoded(response.headers()) || !(events || json) {
        tracing::warn!("the upstream server answers in a format that cannot be scored");
        guard.transcript.fail(Fault::NotUnderstood);
        let refused = guard.transcript.stop().is_some();
        guard.transcript.close(None);
        return if refused { Err(ApiError::unscorable()) } else { Ok(response) };
    }
    let holds = guard.transcript.plan().holds();
    Ok(match (holds, events) {
        (true, true) => stream::response(guard, response),
        (true, false) => whole::response(guard, response).await,
        (false, _) => observed::response(guard, response, events),
    })
}

/// A request that cannot be scored: refused, or passed on and counted, as the policies say.
async fn unscored(
    proxy: &Proxy,
    mut transcript: Transcript,
    Unreadable(why): Unreadable,
    request: Request,
) -> Result<Response, ApiError> {
    transcript.fail(Fault::NotUnderstood);
    if transcript.stop().is_some() {
        transcript.forget();
        let message = format!(
            "A policy on this service refuses what cannot be scored, and this request cannot: {why}."
        );
        return Err(ApiError::body(StatusCode::BAD_REQUEST, "guard_not_understood", message));
    }
    let response = proxy.forwarder.send(request).await;
    if response.as_ref().is_ok_and(|response| response.status().is_success()) {
        transcript.close(None);
    } else {
        transcript.forget();
    }
    response
}

async fn prepare(serving: &Serving, asked: Asked) -> Result<(Asked, Vec<Vec<u32>>), Unreadable> {
    let model = Arc::clone(serving.engine.model());
    // A long conversation takes a while to tokenize.
    let task =
        tokio::task::spawn_blocking(move || asked.tokens(&model).map(|tokens| (asked, tokens)));
    task.await.unwrap_or(Err(Unreadable("the prompt could not be read")))
}

/// Whether the prompt's score decides before anything is written.
fn gates(plan: &Plan) -> bool {
    plan.rules.iter().any(|rule| rule.score == Score::PromptLast && rule.action >= Action::Redact)
}

fn encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity")
}
