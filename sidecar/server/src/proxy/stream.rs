//! A stream under an enforcing policy: read, score, release, in turns.

use super::answer::Naming;
use super::ending::Ending;
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::headers::{allowed, set_type};
use super::held::HeldStream;
use super::keep_alive::keep_alive;
use super::scoring::Scorer;
use crate::http::{ApiError, KEEP_ALIVE};
use crate::telemetry::labels::Outcome;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::response::Response;
use bytes::BytesMut;
use futures::{StreamExt as _, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time that a few words wait for more before they are scored.
const PATIENCE: Duration = Duration::from_millis(250);

/// Longest wait for the end of a response after its last event. Servers send it at once; one that
/// does not has said all the same that nothing more comes.
const LINGER: Duration = Duration::from_millis(100);

/// The response, with what may leave of it. When the client goes away it is dropped, and with it
/// the upstream connection.
pub(super) fn response(exchange: GuardedExchange, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let GuardedExchange { transcript, scorer, naming, expected, silence, bodies, asked, .. } =
        exchange;
    let held = HeldStream::new(transcript, Ending::new(naming), expected).within(bodies.guard());
    let pump = Pump {
        held,
        scorer,
        upstream: Some(body.into_data_stream()),
        silence,
        last_heard: Instant::now(),
        lingers_until: None,
        is_over: false,
    };
    let body =
        stream::unfold(pump, |mut pump| async { pump.next().await.map(|bytes| (bytes, pump)) });
    let mut response = Response::new(Body::from_stream(keep_alive(body, KEEP_ALIVE)));
    *response.status_mut() = parts.status;
    *response.headers_mut() = allowed(&parts.headers, &asked);
    set_type(response.headers_mut(), EVENT_STREAM);
    response
}

pub(super) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// A stream in which no choice says anything but this text.
pub(super) fn events(naming: Naming, choices: usize, text: Option<&str>) -> Response {
    let (mut ending, mut out) = (Ending::new(naming), BytesMut::new());
    for index in 0..choices {
        ending.end_choice(index, text, &mut out);
    }
    ending.finish(&mut out);
    let mut response = Response::new(Body::from(out.freeze()));
    set_type(response.headers_mut(), EVENT_STREAM);
    response
}

struct Pump {
    held: HeldStream,
    scorer: Scorer,
    /// None after its end.
    upstream: Option<BodyDataStream>,
    silence: Duration,
    /// When the upstream server last sent something.
    last_heard: Instant,
    /// When the response counts as ended, once its last event has come.
    lingers_until: Option<Instant>,
    /// Nothing more goes to the client.
    is_over: bool,
}

impl Pump {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let mut force = false;
        while !self.is_over {
            let bytes = self.held.release();
            if self.held.is_done() {
                self.upstream = None;
                self.held.transcript.close(None);
                self.is_over = true;
                // The last bytes wait for the entry in the audit log.
                if !self.held.transcript.settled().await {
                    return Some(Ok(self.held.error(&ApiError::unrecorded())));
                }
            }
            if let Some(bytes) = bytes {
                return Some(Ok(bytes));
            }
            if self.is_over {
                return None;
            }
            if self.scorer.step(&mut self.held.transcript, std::mem::take(&mut force)).await {
            } else if let Some(upstream) = &mut self.upstream {
                let end = self.last_heard + self.silence;
                let now = Instant::now();
                let waits_for_end = self.held.waits_for_end();
                let until = if waits_for_end {
                    *self.lingers_until.get_or_insert(now + LINGER)
                } else if self.held.transcript.waits() {
                    end.min(now + PATIENCE)
                } else {
                    end
                };
                let next = tokio::select! {
                    biased;
                    () = self.scorer.woken() => continue,
                    next = timeout_at(until, upstream.next()) => next,
                };
                match next {
                    Ok(Some(Ok(bytes))) => {
                        self.last_heard = Instant::now();
                        self.held.push(&bytes);
                    }
                    Ok(None) => {
                        self.upstream = None;
                        self.held.end();
                    }
                    Ok(Some(Err(_))) | Err(_) if waits_for_end => {
                        self.upstream = None;
                        self.held.end();
                    }
                    Ok(Some(Err(error))) => return Some(Err(self.fail(error))),
                    Err(_) if Instant::now() < end => force = true,
                    Err(_) => {
                        let error = stalled(self.silence);
                        self.is_over = true;
                        self.upstream = None;
                        self.held.transcript.close(Some(Outcome::Error));
                        return Some(Ok(self.held.error(&error)));
                    }
                }
            } else if self.scorer.expects_more(&self.held.transcript) {
                self.scorer.woken().await;
            } else {
                // Everything came and was scored, and still something waits: that would be a bug,
                // and nothing leaves.
                return Some(Err(self.fail(axum::Error::new("an answer was held back"))));
            }
        }
        None
    }

    /// The client sees the response break off, as the proxy did. What was not scored does not
    /// leave.
    fn fail(&mut self, error: axum::Error) -> axum::Error {
        self.is_over = true;
        self.upstream = None;
        self.held.transcript.close(Some(Outcome::Error));
        error
    }
}
