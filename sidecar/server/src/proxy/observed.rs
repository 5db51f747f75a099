//! A response that nothing has to wait for: its bytes pass at once, and what they say is scored
//! afterwards.

use super::answer::{Naming, Part, is_last};
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::scoring::Scorer;
use super::transcript::Transcript;
use crate::http::BodyGuard;
use crate::http::sse::{Event, Splitter};
use crate::openai::answered;
use crate::telemetry::labels::Outcome;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use hyper::body::Body as _;
use personaguard_guard::UnscoredReason;
use serde_json::Value;
use std::time::Duration;

/// Longest body that is read as a whole.
const MAX_BODY: usize = 16 << 20;

pub(super) fn response(exchange: GuardedExchange, response: Response, events: bool) -> Response {
    let (parts, body) = response.into_parts();
    let GuardedExchange { transcript, scorer, naming, silence, bodies, .. } = exchange;
    let copy = if events { Copy::Events(Splitter::default()) } else { Copy::Whole(Vec::new()) };
    let observed = Observed {
        upstream: body.into_data_stream(),
        silence,
        tee: Tee {
            work: Some((transcript, scorer)),
            naming,
            copy,
            memory: bodies.guard(),
            missed: None,
            is_done: false,
        },
    };
    let body = stream::unfold(Some(observed), |observed| async {
        let mut observed = observed?;
        match observed.next().await {
            Some(Ok(bytes)) => Some((Ok(bytes), Some(observed))),
            Some(Err(error)) => Some((Err(error), None)),
            None => None,
        }
    });
    Response::from_parts(parts, Body::from_stream(body))
}

struct Observed {
    upstream: BodyDataStream,
    silence: Duration,
    tee: Tee,
}

impl Observed {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        match tokio::time::timeout(self.silence, self.upstream.next()).await {
            Ok(Some(Ok(bytes))) => {
                self.tee.copy(&bytes);
                if self.upstream.is_end_stream() {
                    // Nobody asks for more after the length that was announced.
                    self.tee.end(None);
                }
                Some(Ok(bytes))
            }
            Ok(Some(Err(error))) => {
                self.tee.end(Some(Outcome::Error));
                Some(Err(error))
            }
            Ok(None) => {
                self.tee.end(None);
                None
            }
            Err(_) => {
                self.tee.end(Some(Outcome::Error));
                Some(Err(axum::Error::new(stalled(self.silence).code())))
            }
        }
    }
}

/// Copies what passes. When the client goes away, what it has got is scored all the same.
struct Tee {
    work: Option<(Transcript, Scorer)>,
    naming: Naming,
    copy: Copy,
    /// The memory of a copy that is made as a whole.
    memory: BodyGuard,
    /// Why not all of it could be read. What could be is scored all the same.
    missed: Option<UnscoredReason>,
    /// The server has said that nothing more comes. Many clients then go away.
    is_done: bool,
}

enum Copy {
    Events(Splitter),
    Whole(Vec<u8>),
    /// There was too much of it.
    Nothing,
}

impl Tee {
    fn copy(&mut self, bytes: &[u8]) {
        let Some((transcript, _)) = &mut self.work else { return };
        match &mut self.copy {
            Copy::Nothing => {}
            Copy::Whole(all) => {
                let length = all.len() + bytes.len();
                if length > MAX_BODY || self.memory.hold(length).is_err() {
                    return self.give_up(UnscoredReason::TooLong);
                }
                all.extend_from_slice(bytes);
            }
            Copy::Events(splitter) => {
                splitter.push(bytes);
                loop {
                    match splitter.next() {
                        Ok(Some(event)) => {
                            let (missed, is_last) = take(transcript, &self.naming, &event);
                            self.missed = missed.or(self.missed);
                            self.is_done |= is_last;
                        }
                        Ok(None) if self.memory.hold(splitter.len()).is_ok() => break,
                        Ok(None) => return self.give_up(UnscoredReason::TooLong),
                        Err(_) => return self.give_up(UnscoredReason::NotUnderstood),
                    }
                }
            }
        }
    }

    fn give_up(&mut self, fault: UnscoredReason) {
        self.missed = Some(fault);
        self.copy = Copy::Nothing;
        // Less always fits.
        let _ = self.memory.hold(0);
    }

    fn end(&mut self, other: Option<Outcome>) {
        let Some((mut transcript, mut scorer)) = self.work.take() else { return };
        let missed = match &mut self.copy {
            Copy::Events(splitter) => {
                let rest = splitter.rest();
                // The last event of some servers; half of one where the answer broke off.
                let last = other.is_none() && !rest.is_empty();
                last.then(|| take(&mut transcript, &self.naming, &Event(rest)).0).flatten()
            }
            Copy::Whole(bytes) => match answered(bytes) {
                Some(payload) => understood(&mut transcript, &self.naming, Part::Whole, payload),
                None => other.is_none().then_some(UnscoredReason::NotUnderstood),
            },
            Copy::Nothing => None,
        };
        let missed = missed.or(self.missed);
        transcript.complete();
        // Without a runtime the process is at its end.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                scorer.finish(&mut transcript).await;
                if let Some(fault) = missed {
                    transcript.fail(fault);
                }
                transcript.close(other);
            });
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.end((!self.is_done).then_some(Outcome::Cancelled));
    }
}

/// Takes an event. Gives why it could not be read, if so, and whether it is the last.
fn take(
    transcript: &mut Transcript,
    naming: &Naming,
    event: &Event,
) -> (Option<UnscoredReason>, bool) {
    let Some(data) = event.said() else { return (None, false) };
    if data.trim_ascii() == b"[DONE]" {
        return (None, true);
    }
    let Some(payload) = answered(&data) else {
        return (Some(UnscoredReason::NotUnderstood), false);
    };
    let is_last = is_last(naming, &payload);
    (understood(transcript, naming, Part::Event, payload), is_last)
}

fn understood(
    transcript: &mut Transcript,
    naming: &Naming,
    part: Part,
    mut payload: Value,
) -> Option<UnscoredReason> {
    let taken = transcript.take(naming, part, &mut payload);
    taken.is_err().then_some(UnscoredReason::NotUnderstood)
}
