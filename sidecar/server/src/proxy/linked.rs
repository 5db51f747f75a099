//! Placement Engine: a request whose answer is measured, and changed, in the engine that writes it.

use super::answer::Naming;
use super::attempts;
use super::context::Context;
use super::exchange::GuardedExchange;
use super::guarded::{is_json, readable, unscored};
use super::headers::Asked;
use super::last_token::LastToken;
use super::path::Api;
use super::request::LinkedRequest;
use super::respond::{respond, soon};
use super::row_scorer::RowScorer;
use super::scoring::Scorer;
use super::several::{self, Merging};
use super::token_count::{CountedRequest, TokenCount};
use super::transcript::{PromptContext, Transcript};
use crate::http::{ApiError, Broken, Received, not_received, receive};
use crate::runtime::{Beyond, LinkedModel};
use crate::session::{SectionReader, TAGS, decide, overrides_only, system_prompt_key};
use crate::telemetry::traces::chat_span;
use axum::extract::Request;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use personaguard_engine_link::{MeasuredRequest, RequestPlan};
use personaguard_guard::{Decision, Overrides};
use std::sync::Arc;
use tracing::Span;

pub(super) async fn answer(
    context: &Context,
    api: Api,
    linked: Arc<LinkedModel>,
    request: Request,
) -> Result<Response, ApiError> {
    let in_force = &linked.in_force;
    if Decision::new(Arc::clone(&in_force.plan)).stop().is_some() {
        return Err(ApiError::unscorable());
    }
    let (parts, body) = request.into_parts();
    let limits = context.limits.with_body_bytes(in_force.max_request_bytes);
    let received = receive(body, limits).await?;
    let mut read = readable(&parts, &received)
        .and_then(|body| Ok((LinkedRequest::read(api, body)?, body.len())));
    let overrides = match &mut read {
        Ok((request, _)) => {
            request.check()?;
            request.take_extension().map_or(Ok(Overrides::new()), overrides_only)?
        }
        Err(_) => Overrides::new(),
    };
    let decision = decide(&context.app, in_force, &overrides)?;
    let (request, length) = match read {
        Ok(read) => read,
        Err(unreadable) => {
            let span = chat_span(&in_force.name, &parts.headers);
            let transcript = Transcript::new(Arc::clone(&context.app), decision, span);
            let request = Request::from_parts(parts, received.into_body());
            return unscored(context, transcript, unreadable, request).await;
        }
    };
    // Bodies that are held count until they are sent.
    drop(received);
    let decision = decision.with_system_prompt(system_prompt_key(request.messages()));
    let asker = Arc::new(Asker { context: context.clone(), api, linked, parts });
    if request.answers() == 1 {
        return asker.ask(request, decision).await;
    }
    let mut memory = context.limits.bodies.guard();
    if memory.hold(length.saturating_mul(request.answers())).is_err() {
        return Err(not_received(Broken::NoRoom, limits.body_time));
    }
    let merging = Merging {
        per_prompt: request.per_prompt(),
        is_stream: request.is_stream(),
        silence: context.timeouts.upstream,
        bodies: context.limits.bodies,
    };
    let (asker, request) = (&asker, &request);
    let answers = (0..request.answers()).map(|number| {
        let decision = decision.fresh();
        async move { asker.ask(request.part(number), decision).await }
    });
    several::answer(answers, merging).await
}

/// Asks the engine for an answer: each is an exchange of its own.
struct Asker {
    context: Context,
    api: Api,
    linked: Arc<LinkedModel>,
    /// The request that came, but for its body.
    parts: Parts,
}

impl Asker {
    async fn ask(
        self: &Arc<Self>,
        request: LinkedRequest,
        decision: Decision,
    ) -> Result<Response, ApiError> {
        let forwarder = &self.context.forwarder;
        let span = chat_span(&self.linked.in_force.name, &self.parts.headers);
        if decision.plan().max_retries() == 0 {
            let (exchange, request) = self.exchange(request, decision, span)?;
            return respond(forwarder, exchange, request).await;
        }
        let (asker, is_stream) = (Arc::clone(self), request.is_stream());
        let exchange = move |decision| asker.exchange(request.clone(), decision, span.clone());
        let answer = attempts::answer(forwarder.clone(), exchange, decision);
        if is_stream { soon(answer).await } else { answer.await }
    }

    fn exchange(
        &self,
        request: LinkedRequest,
        decision: Decision,
        span: Span,
    ) -> Result<(GuardedExchange, Request), ApiError> {
        let Self { context, api, linked, parts } = self;
        let (api, in_force, mut parts) = (*api, &linked.in_force, parts.clone());
        let unfit = |error: Beyond| ApiError::beyond_policy(error.to_string());
        let changes = linked.changes(decision.plan()).map_err(unfit)?;
        let columns = linked.columns(decision.plan()).map_err(unfit)?;
        let mut transcript = Transcript::new(Arc::clone(&context.app), decision, span);
        if transcript.wants_conversation() {
            let messages = request.messages().to_vec();
            transcript.set_prompt(PromptContext { messages, prompts: Vec::new(), per_prompt: 1 });
        }
        let model = request.model().map(str::to_owned);
        if let Some(name) = &model {
            context.names.learn(name);
        }
        // A prompt may begin reasoning; where nobody tells where that ends, tokens count for both
        // sections.
        transcript.set_sections(match api {
            Api::Chat => SectionReader::of_server(Some(TAGS[0].1)),
            _ => SectionReader::undivided(),
        });
        let holds = transcript.plan().holds_back();
        let measured = MeasuredRequest::new(&linked.link, linked.vectors.number);
        // Without vectors nothing is measured, and the plugin knows of no set.
        let plan = (!linked.vectors.slots.is_empty()).then(|| {
            let set = Some(linked.vectors.number.to_string());
            let plan = RequestPlan {
                id: measured.id(),
                set,
                changes: &changes,
                prompt: None,
                states: false,
            };
            plan.text()
        });
        let salt = linked.cache_salt(&changes, request.cache_salt());
        let count = TokenCount::new(CountedRequest {
            api,
            asked: request.asked_counts(),
            is_stream: request.is_stream(),
            is_observed: !holds,
            keeps_stop: request.keeps_stop(),
        });
        transcript.expect_rows(measured.id(), count);
        let last_token = LastToken::beside(&parts.uri).filter(|_| request.is_text());
        let last_token = last_token.map(|uri| LastToken {
            forwarder: context.forwarder.clone(),
            linked: Arc::clone(linked),
            uri,
            headers: parts.headers.clone(),
            model: model.clone(),
            changes: changes.clone(),
            salt: salt.clone(),
        });
        let is_stream = request.is_stream();
        let body = request.body(plan, salt.as_deref(), holds);
        is_json(&mut parts);
        // A compressed response could not be read.
        parts.headers.remove(header::ACCEPT_ENCODING);
        let deadline = in_force.scoring_deadline.unwrap_or(context.timeouts.score);
        let rows = RowScorer::new(measured, columns, deadline, last_token);
        let exchange = GuardedExchange {
            transcript,
            scorer: Scorer::Rows(Box::new(rows)),
            naming: Naming::new(api, model.unwrap_or_else(|| in_force.name.clone())),
            expected: 1,
            is_stream,
            silence: context.timeouts.upstream,
            asked: Asked::by(&parts.headers),
            bodies: context.limits.bodies,
        };
        Ok((exchange, Request::from_parts(parts, Received::Whole(body).into_body())))
    }
}
