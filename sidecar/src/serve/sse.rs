//! Server-sent events: an answer in chunks, one for each piece.

use super::answer::{Answer, Next};
use super::error::ApiError;
use super::response::{Delta, Head, Usage, chunk};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::collections::VecDeque;
use std::convert::Infallible;

/// The answer as a stream. When the client goes away, the answer is dropped, which cancels it.
pub(super) fn response(head: Head, answer: Answer, include_usage: bool) -> Response {
    let events = Events { head, answer, include_usage, ready: VecDeque::new(), state: State::Begin };
    let body = Body::from_stream(stream::unfold(events, |mut events| async {
        events.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), events))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}

enum State {
    Begin,
    Middle,
    Done,
}

struct Events {
    head: Head,
    answer: Answer,
    include_usage: bool,
    ready: VecDeque<Bytes>,
    state: State,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        match self.state {
            State::Done => None,
            State::Begin => {
                self.state = State::Middle;
                Some(self.chunk(Delta::Role))
            }
            State::Middle => Some(match self.answer.next().await {
                Some(Ok(Next::Piece(piece))) => self.chunk(Delta::Piece(piece)),
                Some(Ok(Next::End { finish_reason, usage, scores })) => {
                    self.state = State::Done;
                    self.finish(usage);
                    self.chunk(Delta::Finish(finish_reason, scores))
                }
                Some(Err(error)) => self.fail(&error),
                None => self.fail(&ApiError::internal("The answer ended without an end.")),
            }),
        }
    }

    fn chunk(&self, delta: Delta) -> Bytes {
        event(&chunk(&self.head, delta, self.include_usage))
    }

    fn finish(&mut self, usage: Usage) {
        if self.include_usage {
            let usage = self.chunk(Delta::Usage(usage));
            self.ready.push_back(usage);
        }
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    /// An error in mid-stream is told, and no `[DONE]` follows: the client must not take the answer for complete.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.state = State::Done;
        event(&serde_json::to_vec(&error.body).unwrap_or_default())
    }
}

fn event(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}
