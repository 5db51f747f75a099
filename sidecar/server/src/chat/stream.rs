//! A response in chunks, as server-sent events: one for each part of a choice.

use super::call::Part;
use super::choices::Choices;
use super::guarded::{End, Output};
use super::response_head::ResponseHead;
use crate::http::{ApiError, event_stream};
use crate::openai::{ChunkChoice, Delta, Logprobs, Object, ScoreReport, Usage};
use axum::Error;
use axum::response::Response;
use axum::response::sse::Event;
use futures::stream;
use std::collections::VecDeque;

/// The choices as one stream. When the client goes away, they are dropped, which cancels them.
pub(super) fn response(head: ResponseHead, choices: Choices, include_usage: bool) -> Response {
    let count = choices.count();
    let mut chunks = Chunks {
        head,
        choices,
        include_usage,
        ready: VecDeque::new(),
        usage: Usage::default(),
        is_done: false,
    };
    for index in 0..count {
        chunks.push(ChunkChoice::new(index, Delta::role(String::new())), None);
    }
    event_stream(stream::unfold(chunks, |mut chunks| async {
        chunks.next().await.map(|event| (event, chunks))
    }))
}

struct Chunks {
    head: ResponseHead,
    choices: Choices,
    include_usage: bool,
    ready: VecDeque<Result<Event, Error>>,
    /// Of the choices that have ended.
    usage: Usage,
    /// Nothing follows what is ready.
    is_done: bool,
}

impl Chunks {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.ready.is_empty() && !self.is_done {
            self.advance().await;
        }
        self.ready.pop_front()
    }

    async fn advance(&mut self) {
        match self.choices.next().await {
            Some((index, Ok(Output::Part(part)))) => self.push(with_part(index, part), None),
            Some((index, Ok(Output::End(End { finish_reason, usage, scores, .. })))) => {
                self.usage = self.usage.with_choice(usage);
                let scores = self.head.place(scores);
                let last = ChunkChoice {
                    finish_reason: Some(finish_reason),
                    personaguard: scores.in_choice,
                    ..ChunkChoice::new(index, Delta::default())
                };
                self.push(last, scores.beside);
            }
            Some((_, Err(error))) => self.fail(&error),
            None => self.finish(),
        }
    }

    fn push(&mut self, choice: ChunkChoice, scores: Option<ScoreReport>) {
        let usage = self.include_usage.then_some(None);
        let body = self.head.body(Object::ChatChunk, vec![choice], usage, scores);
        self.ready.push_back(Event::default().json_data(body));
    }

    /// An error in mid-stream is reported, and no `[DONE]` follows: the client must not take the
    /// choices for complete.
    fn fail(&mut self, error: &ApiError) {
        self.is_done = true;
        self.ready.push_back(Event::default().json_data(&error.body));
    }

    fn finish(&mut self) {
        self.is_done = true;
        if self.include_usage {
            let none = Vec::<ChunkChoice>::new();
            let body = self.head.body(Object::ChatChunk, none, Some(Some(self.usage)), None);
            self.ready.push_back(Event::default().json_data(body));
        }
        self.ready.push_back(Ok(Event::default().data("[DONE]")));
    }
}

fn with_part(index: usize, part: Part) -> ChunkChoice {
    match part {
        Part::Thought(text) => ChunkChoice::new(index, Delta::reasoning(text)),
        Part::Call(call) => ChunkChoice::new(index, Delta::tool_call(call.into_chunk())),
        Part::Text(piece) => ChunkChoice {
            logprobs: piece.logprob.map(|logprob| Logprobs::new(vec![logprob])),
            ..ChunkChoice::new(index, Delta::content(piece.text))
        },
    }
}
