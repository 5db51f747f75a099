//! A stream under an enforcing policy: read, score, release, in turns.

use super::answer::Naming;
use super::ending::Ending;
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::headers::{allowed, set_type};
use super::held::HeldStream;
use super::keep_alive::keep_alive;
use super::scorer::Scorer;
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

/// The response, with what may leave of it. When the client goes away it is dropped, and with it
/// the upstream connection.
pub(super) fn response(exchange: GuardedExchange, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let GuardedExchange { transcript, scorer, naming, expected, silence, asked, .. } = exchange;
    let held = HeldStream::new(transcript, Ending::new(naming), expected);
    let pump = Pump {
        held,
        scorer,
        upstream: Some(body.into_data_stream()),
        silence,
        last_heard: Instant::now(),
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
                let soon = Instant::now() + PATIENCE;
                let until = if self.held.transcript.waits() { end.min(soon) } else { end };
                match timeout_at(until, upstream.next()).await {
                    Ok(Some(Ok(bytes))) => {
                        self.last_heard = Instant::now();
                        self.held.push(&bytes);
                    }
                    Ok(None) => {
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
