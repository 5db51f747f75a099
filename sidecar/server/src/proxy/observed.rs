//! A response that nothing has to wait for: its bytes pass at once, and what they say is scored
//! afterwards.

use super::answer::{Naming, Part};
use super::exchange::GuardedExchange;
use super::forward::stalled;
use super::scorer::Scorer;
use super::transcript::Transcript;
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
    let GuardedExchange { transcript, scorer, naming, silence, .. } = exchange;
    let copy = if events { Copy::Events(Splitter::default()) } else { Copy::Whole(Vec::new()) };
    let observed = Observed {
        upstream: body.into_data_stream(),
        silence,
        tee: Tee { work: Some((transcript, scorer)), naming, copy, missed: None },
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
    /// Why not all of it could be read. What could be is scored all the same.
    missed: Option<UnscoredReason>,
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
            Copy::Whole(all) if all.len() + bytes.len() > MAX_BODY => {
                self.give_up(UnscoredReason::TooLong);
            }
            Copy::Whole(all) => all.extend_from_slice(bytes),
            Copy::Events(splitter) => {
                splitter.push(bytes);
                loop {
                    match splitter.next() {
                        Ok(Some(event)) => {
                            self.missed = take(transcript, &self.naming, &event).or(self.missed);
                        }
                        Ok(None) => break,
                        Err(_) => return self.give_up(UnscoredReason::NotUnderstood),
                    }
                }
            }
        }
    }

    fn give_up(&mut self, fault: UnscoredReason) {
        self.missed = Some(fault);
        self.copy = Copy::Nothing;
    }

    fn end(&mut self, other: Option<Outcome>) {
        let Some((mut transcript, scorer)) = self.work.take() else { return };
        let missed = match &mut self.copy {
            Copy::Events(splitter) => {
                let rest = splitter.rest();
                // The last event of some servers; half of one where the answer broke off.
                let last = other.is_none() && !rest.is_empty();
                last.then(|| take(&mut transcript, &self.naming, &Event(rest))).flatten()
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
                while scorer.step(&mut transcript, true).await {}
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
        self.end(Some(Outcome::Cancelled));
    }
}

fn take(transcript: &mut Transcript, naming: &Naming, event: &Event) -> Option<UnscoredReason> {
    let data = event.data()?;
    if data.trim_ascii() == b"[DONE]" {
        return None;
    }
    match answered(&data) {
        Some(payload) => understood(transcript, naming, Part::Event, payload),
        None => Some(UnscoredReason::NotUnderstood),
    }
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
