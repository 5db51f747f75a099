//! A stream under an enforcing policy: read, score, release, in turns.

use super::answer::Naming;
use super::ending::Ending;
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::headers::{Asked, allowed, set_type};
use super::held::HeldStream;
use super::keep_alive::keep_alive;
use super::scoring::Scorer;
use super::transcript::Transcript;
use crate::http::{ApiError, KEEP_ALIVE};
use crate::telemetry::labels::Outcome;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::response::Parts;
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
    Pump::new(exchange, response).response()
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

/// A stream on its way from the upstream server to the client.
#[derive(Debug)]
pub(super) struct Pump {
    held: HeldStream,
    scorer: Scorer,
    /// Status and headers of the response.
    parts: Parts,
    asked: Asked,
    /// None after its end.
    upstream: Option<BodyDataStream>,
    silence: Duration,
    /// When the upstream server last sent something.
    last_heard: Instant,
    /// When the response counts as ended, once its last event has come.
    lingers_until: Option<Instant>,
    /// A few words have waited for long enough.
    force: bool,
    /// Why no more comes.
    failure: Option<Failure>,
    /// Nothing more goes to the client.
    is_over: bool,
}

/// Why no more of a response comes.
#[derive(Debug)]
enum Failure {
    /// It broke off, and the client sees it break off.
    Broken(axum::Error),
    /// The client is told.
    Told(ApiError),
}

impl Pump {
    pub(super) fn new(exchange: GuardedExchange, response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let GuardedExchange {
            transcript, scorer, naming, expected, silence, bodies, asked, ..
        } = exchange;
        let held =
            HeldStream::new(transcript, Ending::new(naming), expected).within(bodies.guard());
        Self {
            held,
            scorer,
            parts,
            asked,
            upstream: Some(body.into_data_stream()),
            silence,
            last_heard: Instant::now(),
            lingers_until: None,
            force: false,
            failure: None,
            is_over: false,
        }
    }

    pub(super) fn transcript(&mut self) -> &mut Transcript {
        &mut self.held.transcript
    }

    /// Reads and scores all of it. Nothing leaves before [`Self::response`].
    pub(super) async fn read(&mut self) {
        while self.failure.is_none() && !self.held.is_settled() {
            self.failure = self.advance().await.err();
        }
    }

    pub(super) fn response(self) -> Response {
        let (status, headers) = (self.parts.status, allowed(&self.parts.headers, &self.asked));
        let body =
            stream::unfold(self, |mut pump| async { pump.next().await.map(|bytes| (bytes, pump)) });
        let mut response = Response::new(Body::from_stream(keep_alive(body, KEEP_ALIVE)));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        set_type(response.headers_mut(), EVENT_STREAM);
        response
    }

    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
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
            let failure = match self.failure.take() {
                Some(failure) => Some(failure),
                None => self.advance().await.err(),
            };
            if let Some(failure) = failure {
                // What was not scored does not leave.
                self.is_over = true;
                self.upstream = None;
                self.held.transcript.close(Some(Outcome::Error));
                return Some(match failure {
                    Failure::Broken(error) => Err(error),
                    Failure::Told(error) => Ok(self.held.error(&error)),
                });
            }
        }
        None
    }

    /// Scores or reads what comes next.
    async fn advance(&mut self) -> Result<(), Failure> {
        let force = std::mem::take(&mut self.force);
        if self.scorer.step(&mut self.held.transcript, force).await {
            return Ok(());
        }
        let Some(upstream) = &mut self.upstream else {
            if self.scorer.expects_more(&self.held.transcript) {
                self.scorer.woken().await;
                return Ok(());
            }
            // Everything came and was scored, and still something waits: that would be a bug, and
            // nothing leaves.
            return Err(Failure::Broken(axum::Error::new("an answer was held back")));
        };
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
            () = self.scorer.woken() => return Ok(()),
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
            Ok(Some(Err(error))) => return Err(Failure::Broken(error)),
            Err(_) if Instant::now() < end => self.force = true,
            Err(_) => return Err(Failure::Told(stalled(self.silence))),
        }
        Ok(())
    }
}
