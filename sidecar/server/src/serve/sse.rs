//! Server-sent events: a response in chunks, one for each piece of a choice.

use super::answer::Next;
use super::choices::Choices;
use super::response::{Delta, Head, Said, Usage, chunk};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::collections::VecDeque;
use std::convert::Infallible;

/// The choices as one stream. When the client goes away, they are dropped, which cancels them.
pub(super) fn response(head: Head, choices: Choices, include_usage: bool) -> Response {
    let roles = (0..choices.count())
        .map(|index| event(&chunk(&head, Delta::Choice(index, Said::Role), include_usage)));
    let ready = roles.collect();
    let events =
        Events { head, choices, include_usage, ready, usage: Usage::default(), done: false };
    let body = Body::from_stream(stream::unfold(events, |mut events| async {
        events.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), events))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}

struct Events {
    head: Head,
    choices: Choices,
    include_usage: bool,
    ready: VecDeque<Bytes>,
    /// Of the choices that have ended.
    usage: Usage,
    /// Nothing follows what is ready.
    done: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() && !self.done {
            self.advance().await;
        }
        self.ready.pop_front()
    }

    async fn advance(&mut self) {
        match self.choices.next().await {
            Some((index, Ok(Next::Part(part)))) => {
                self.push(Delta::Choice(index, Said::Part(part)))
            }
            Some((index, Ok(Next::End { finish_reason, usage, scores }))) => {
                self.usage = self.usage.beside(usage);
                self.push(Delta::Choice(index, Said::Finish(finish_reason, scores)));
            }
            // An error in mid-stream is told, and no `[DONE]` follows: the client must not take the
            // answers for complete.
            Some((_, Err(error))) => {
                self.done = true;
                self.ready.push_back(event(&serde_json::to_vec(&error.body).unwrap_or_default()));
            }
            None => {
                self.done = true;
                if self.include_usage {
                    self.push(Delta::Usage(self.usage));
                }
                self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
            }
        }
    }

    fn push(&mut self, delta: Delta) {
        self.ready.push_back(event(&chunk(&self.head, delta, self.include_usage)));
    }
}

fn event(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}
