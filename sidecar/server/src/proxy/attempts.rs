//! An answer that is past a threshold with action `Regenerate`, and is written again by the engine,
//! steered. Nothing of it leaves before that is decided.

use super::exchange::GuardedExchange;
use super::forward::Forwarder;
use super::respond::{Form, answered, finish, form};
use super::stream::Pump;
use super::transcript::Transcript;
use super::whole::{self, Read};
use crate::http::ApiError;
use axum::extract::Request;
use axum::response::Response;
use personaguard_guard::Decision;
use std::sync::Arc;

/// An answer of the upstream server, read and scored as far as it came.
enum Attempt {
    Streamed(Box<Pump>),
    Whole(Box<GuardedExchange>, Read),
    /// A policy stopped it before it came.
    Stopped(Box<GuardedExchange>),
    /// It is no answer of a model, or cannot be read.
    Other(Box<GuardedExchange>, Result<Response, ApiError>),
}

/// The best of as many attempts as the plan asks for. `exchange` prepares one.
pub(super) async fn answer(
    forwarder: Forwarder,
    exchange: impl Fn(Decision) -> Result<(GuardedExchange, Request), ApiError>,
    decision: Decision,
) -> Result<Response, ApiError> {
    let plan = Arc::clone(decision.plan());
    let (first, request) = exchange(decision)?;
    let mut last = Attempt::make(&forwarder, first, request).await;
    let mut best: Option<Attempt> = None;
    let mut breached = vec![false; plan.rules.len()];
    let mut tokens = 0;
    for number in 1..=plan.max_retries() {
        let choice = last.transcript().first();
        let distance = choice.distance();
        // A more intrusive action stopped the first, or it failed.
        if distance == 0.0 || (number == 1 && distance.is_infinite()) {
            break;
        }
        for (rule, breached) in breached.iter_mut().enumerate() {
            *breached |= choice.decision().is_breached(rule);
        }
        let decision =
            choice.decision().restart_under(plan.for_retry(|rule| breached[rule], number));
        // It may be beyond what the plugin does.
        let Ok((mut next, request)) = exchange(decision) else { break };
        choice.hand_over(next.transcript.first());
        next.transcript.first().record_mut().again();
        tokens += choice.scored_tokens();
        let before = std::mem::replace(&mut last, Attempt::make(&forwarder, next, request).await);
        best = Some(match best {
            Some(best) => best.or(before),
            None => before,
        });
    }
    tokens += last.transcript().first().scored_tokens();
    let mut sent = match best {
        None => last,
        Some(mut best) => {
            if best.distance() <= last.distance() {
                last.transcript().first().hand_over(best.transcript().first());
                best
            } else {
                last
            }
        }
    };
    let choice = sent.transcript().first();
    let discarded = tokens - choice.scored_tokens();
    choice.record_mut().discard(discarded);
    sent.response().await
}

impl Attempt {
    async fn make(forwarder: &Forwarder, mut exchange: GuardedExchange, request: Request) -> Self {
        let Some(answer) = answered(forwarder, &mut exchange, request).await else {
            return Self::Stopped(Box::new(exchange));
        };
        match answer {
            Ok(response) if response.status().is_success() => match form(&response) {
                Some(Form::Events) => {
                    let mut pump = Box::new(Pump::new(exchange, response));
                    pump.read().await;
                    Self::Streamed(pump)
                }
                Some(Form::Body) => {
                    let read = whole::read(&mut exchange, response).await;
                    Self::Whole(Box::new(exchange), read)
                }
                None => Self::Other(Box::new(exchange), Ok(response)),
            },
            other => Self::Other(Box::new(exchange), other),
        }
    }

    fn transcript(&mut self) -> &mut Transcript {
        match self {
            Self::Streamed(pump) => pump.transcript(),
            Self::Whole(exchange, _) | Self::Stopped(exchange) | Self::Other(exchange, _) => {
                &mut exchange.transcript
            }
        }
    }

    fn distance(&mut self) -> f64 {
        self.transcript().first().distance()
    }

    /// The better one; the earlier, where they are alike.
    fn or(mut self, mut later: Self) -> Self {
        if self.distance() <= later.distance() { self } else { later }
    }

    /// What the client gets of it.
    async fn response(self) -> Result<Response, ApiError> {
        match self {
            Self::Streamed(pump) => Ok(pump.response()),
            Self::Whole(exchange, read) => Ok(whole::respond(*exchange, read).await),
            Self::Stopped(exchange) => whole::stopped(*exchange).await,
            Self::Other(exchange, answer) => finish(*exchange, answer).await,
        }
    }
}
