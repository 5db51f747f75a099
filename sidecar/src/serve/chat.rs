//! `POST /v1/chat/completions`.

use super::answer::{Answer, Next, Parts};
use super::coherence::Watch;
use super::error::ApiError;
use super::listen::Limits;
use super::record::Record;
use super::request::ChatRequest;
use super::response::{Head, completion};
use super::retry::Retry;
use super::router::Shared;
use super::sse;
use crate::guard::{Beyond, Decision, Demands, Plan};
use crate::host::{Host, ModelState, Serving, interventions};
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::chat_span;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use personaguard_model::{GenerateRequest, SubmitError, TemplateError, VectorError};
use personaguard_persona::sha256_hex;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most of a body that is too large that is read on, so that a client which sends all before it listens gets its answer.
const DRAIN_BYTES: usize = 64 << 20;
/// Longest time for that.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Answers a chat.
pub(super) async fn completions(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let host = Arc::clone(&shared.host);
    match begin(shared, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            host.metrics.response(Outcome::Rejected, Duration::ZERO);
            tracing::info!(status = error.status.as_u16(), code = error.code(), "request refused");
            error.into_response()
        }
    }
}

/// Why nothing is served yet.
pub(crate) fn not_ready(host: &Host) -> ApiError {
    let state = host.state();
    match &state.model {
        ModelState::Failed(failure) => ApiError::unavailable(
            "model_failed",
            format!("The model cannot be served ({}): {}", failure.reason, failure.message),
        ),
        _ => ApiError::unavailable("model_not_ready", "The model is being loaded. Try again shortly."),
    }
}

async fn begin(shared: Shared, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let Shared { host, limits, .. } = shared;
    let body = read(&headers, body, limits).await?;
    let request = ChatRequest::parse(&body)?;
    drop(body);
    let serving = host.serving().ok_or_else(|| not_ready(&host))?;
    if request.model != serving.name {
        return Err(ApiError::model_not_found(&request.model, &serving.name));
    }
    let decision = decide(&host, &serving, &request.demands)?.under(system_prompt(&request.messages));
    if decision.stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let span = chat_span(&serving.name, &headers);
    let id = format!("chatcmpl-{}", uuid::Uuid::new_v4().simple());
    let record = Record::new(Arc::clone(&host), span, id.clone());
    let head = Head {
        id,
        created: jiff::Timestamp::now().as_second(),
        model: serving.name.clone(),
        fingerprint: format!("fp_{}", serving.digest.short()),
    };
    let (stream, include_usage) = (request.stream, request.include_usage);
    let answer = submit(host, serving, request, decision, record).await?;
    if stream { Ok(sse::response(head, answer, include_usage)) } else { whole(&head, answer).await }
}

/// The response's state machine, under the policies that look at it and what the request asks for beyond them.
pub(crate) fn decide(host: &Host, serving: &Serving, demands: &Demands) -> Result<Decision, ApiError> {
    let mut plan = Arc::clone(&serving.plan);
    if !demands.is_empty() {
        let demanded = plan.with(demands);
        host.metrics.request_control(demanded.is_ok());
        plan = Arc::new(demanded.map_err(|beyond| match beyond {
            Beyond::Unknown(_) => ApiError::invalid("personaguard.traits", "invalid_value", beyond.to_string()),
            _ => ApiError::beyond(beyond.to_string()),
        })?);
    }
    let level = serving.back_off.level();
    if level > 0 && !plan.steering.is_empty() {
        plan = Arc::new(plan.held_back(level));
    }
    let sampled = serving.draw.next(&plan);
    let rests = !sampled.is_empty() && !sampled.contains(&true);
    Ok(Decision::sampled(if rests { Arc::clone(&serving.resting) } else { plan }, sampled))
}

/// What a system prompt is known by in statistics: the first digits of its SHA-256, as `personaguard calibrate` shows it, or
/// `none`.
pub(crate) fn system_prompt(messages: &[Value]) -> Arc<str> {
    let texts = messages.iter().filter(|message| message["role"] == "system");
    let texts: Vec<_> = texts.filter_map(|message| message["content"].as_str()).collect();
    let text = texts.join("\n");
    if text.is_empty() { "none".into() } else { sha256_hex(text.as_bytes())[..12].into() }
}

async fn submit(
    host: Arc<Host>,
    serving: Arc<Serving>,
    request: ChatRequest,
    decision: Decision,
    mut record: Record,
) -> Result<Answer, ApiError> {
    let result = prepare(&serving, &request, decision.plan()).await.and_then(|generate| {
        let retry = Retry::new(&generate, decision.plan());
        let watch = Watch::new(host, Arc::clone(&serving), &decision, &generate.prompt);
        let generation = serving.engine.submit(generate).map_err(|error| submit_error(&error))?;
        Ok((generation, retry, watch))
    });
    match result {
        Ok((generation, retry, watch)) => Ok(Answer::new(Parts {
            serving,
            generation,
            decision,
            record,
            retry,
            watch,
            with_logprobs: request.logprobs.is_some(),
            asked: request.extension,
            messages: request.messages,
        })),
        Err(error) => {
            record.forget();
            Err(error)
        }
    }
}

async fn prepare(serving: &Serving, request: &ChatRequest, plan: &Arc<Plan>) -> Result<GenerateRequest, ApiError> {
    let model = Arc::clone(serving.engine.model());
    let grammar = match &request.format {
        Some(format) => Some(format.compile(&model).await?),
        None => None,
    };
    let messages = request.messages.clone();
    // A long conversation takes a while to tokenize.
    let prompt = tokio::task::spawn_blocking(move || model.chat_prompt(&messages, &Default::default())).await;
    let prompt = match prompt {
        Ok(Ok(prompt)) => prompt,
        Ok(Err(error)) => return Err(template_error(&error)),
        Err(_) => return Err(ApiError::internal("The messages could not be turned into a prompt.")),
    };
    let limit = serving.engine.model().context_length();
    let wanted = request.max_tokens.unwrap_or(1);
    if prompt.len().saturating_add(wanted) > limit {
        return Err(ApiError::context_length(prompt.len().saturating_add(wanted), limit, prompt.len()));
    }
    let (probes, changes) = if Arc::ptr_eq(plan, &serving.plan) {
        (Arc::clone(&serving.probes), Arc::clone(&serving.interventions))
    } else {
        let unfit = |error: VectorError| ApiError::internal(error.to_string());
        (interventions::probes(plan).map_err(unfit)?, interventions::interventions(plan).map_err(unfit)?)
    };
    Ok(GenerateRequest {
        max_tokens: request.max_tokens.unwrap_or(limit - prompt.len()),
        prompt,
        sampling: request.sampling.clone(),
        stop: request.stop.clone(),
        grammar,
        top_logprobs: request.logprobs.unwrap_or(0),
        probes,
        interventions: changes,
        ..GenerateRequest::default()
    })
}

fn template_error(error: &TemplateError) -> ApiError {
    match error {
        TemplateError::Refused(_) => ApiError::invalid("messages", "invalid_value", error.to_string()),
        TemplateError::Missing => ApiError::body(StatusCode::BAD_REQUEST, "no_chat_template", error.to_string()),
        TemplateError::Failed(_) => ApiError::internal(error.to_string()),
    }
}

fn submit_error(error: &SubmitError) -> ApiError {
    match error {
        SubmitError::QueueFull { retry_after } => ApiError::busy(*retry_after),
        SubmitError::ContextTooLong { tokens, context_length } => {
            ApiError::context_length(*tokens, *context_length, *tokens)
        }
        SubmitError::Parameter { name, .. } => ApiError::invalid(*name, "invalid_value", error.to_string()),
        SubmitError::Stopped => ApiError::unavailable("stopping", error.to_string()),
        other => {
            tracing::error!(error = %other, "the engine refused a request");
            ApiError::internal("The engine refused this request.")
        }
    }
}

async fn whole(head: &Head, mut answer: Answer) -> Result<Response, ApiError> {
    let mut text = String::new();
    let mut logprobs = answer.with_logprobs().then(Vec::new);
    loop {
        match answer.next().await {
            Some(Ok(Next::Piece(piece))) => {
                text.push_str(&piece.text);
                if let (Some(all), Some(one)) = (&mut logprobs, piece.logprob) {
                    all.push(one);
                }
            }
            Some(Ok(Next::End { finish_reason, usage, scores })) => {
                let body = completion(head, &text, logprobs, finish_reason, usage, scores);
                return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
            }
            Some(Err(error)) => return Ok(error.into_response()),
            None => return Ok(ApiError::internal("The answer ended without an end.").into_response()),
        }
    }
}

/// Reads a body within its limits.
async fn read(headers: &HeaderMap, body: Body, limits: Limits) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("The body is larger than {} bytes.", limits.body_bytes);
        ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut chunks = body.into_data_stream();
    if announced.is_some_and(|length| length > limits.body_bytes) {
        // A client that asks first has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut chunks, 0).await;
        }
        return Err(too_large());
    }
    let deadline = Instant::now() + limits.body_time;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(4096));
    loop {
        match tokio::time::timeout_at(deadline.into(), chunks.next()).await {
            Ok(None) => return Ok(bytes.into()),
            Ok(Some(Ok(chunk))) if bytes.len() + chunk.len() > limits.body_bytes => {
                drain(&mut chunks, bytes.len() + chunk.len()).await;
                return Err(too_large());
            }
            Ok(Some(Ok(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(Some(Err(_))) => {
                return Err(ApiError::body(StatusCode::BAD_REQUEST, "invalid_body", "The body ended early."));
            }
            Err(_) => {
                let message = format!("The body did not arrive within {} s.", limits.body_time.as_secs());
                return Err(ApiError::body(StatusCode::REQUEST_TIMEOUT, "request_timeout", message));
            }
        }
    }
}

async fn drain(chunks: &mut axum::body::BodyDataStream, mut read: usize) {
    let rest = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > DRAIN_BYTES {
                break;
            }
        }
    };
    // What happens to the rest matters to nobody.
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}
