//! Several answers to one request, each of which is an exchange of its own: one response is made of
//! theirs. What ends one of them by policy ends that one; an error ends them all.

mod merge;

use super::forward::stalled;
use super::headers::set_type;
use super::stream::EVENT_STREAM;
use crate::http::sse::{Event, Splitter};
use crate::http::{ApiError, BodyBudget, Broken, Patience, Received, collect};
use axum::Error;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::BytesMut;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, SelectAll, StreamExt as _, select_all};
use merge::{Merge, Taken};
use serde_json::Value;
use std::time::Duration;

/// Longest body of an answer that is read as a whole.
const MAX_BODY: usize = 16 << 20;

/// How answers are put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merging {
    /// Answers to each prompt.
    pub(super) per_prompt: usize,
    /// The client asked for a stream.
    pub(super) is_stream: bool,
    /// Longest silence of one of them.
    pub(super) silence: Duration,
    /// Memory for bodies that are held.
    pub(super) bodies: BodyBudget,
}

/// The answers as one response, once all of them have begun. The first that is no success is what
/// the client gets; dropping the others ends them.
pub(super) async fn answer(
    answers: impl Iterator<Item = impl Future<Output = Result<Response, ApiError>>>,
    merging: Merging,
) -> Result<Response, ApiError> {
    let successes = answers.map(|answer| async {
        match answer.await {
            Ok(response) if response.status().is_success() => Ok(response),
            other => Err(Box::new(other)),
        }
    });
    match try_join_all(successes).await {
        Ok(responses) if merging.is_stream => streamed(responses, merging),
        Ok(responses) => whole(responses, merging).await,
        Err(other) => *other,
    }
}

fn not_understood() -> ApiError {
    ApiError::gateway(
        StatusCode::BAD_GATEWAY,
        "upstream_not_understood",
        "The model server's answers cannot be put together: ask for one at a time, with 'n' 1.",
    )
}

async fn whole(responses: Vec<Response>, merging: Merging) -> Result<Response, ApiError> {
    let patience = Patience::Piece(merging.silence);
    let collected = responses.into_iter().map(|response| async move {
        let (parts, body) = response.into_parts();
        match collect(body, MAX_BODY, patience, merging.bodies).await {
            Ok(Received::Whole(bytes)) => Ok((parts, bytes)),
            Ok(Received::TooLong(..)) => Err(not_understood()),
            Err(Broken::TimedOut) => Err(stalled(merging.silence)),
            Err(Broken::EndedEarly) => Err(ApiError::gateway(
                StatusCode::BAD_GATEWAY,
                "upstream_broke_off",
                "The model server broke off its answer.",
            )),
            Err(Broken::NoRoom) => Err(ApiError::unavailable(
                "too_many_bodies",
                "Too many answers are on their way at once. Try again.",
            )),
        }
    });
    let mut merge = Merge::new(merging.per_prompt);
    let (mut head, mut merged) = (None, None);
    for (number, (parts, bytes)) in try_join_all(collected).await?.into_iter().enumerate() {
        let body: Value = serde_json::from_slice(&bytes).map_err(|_| not_understood())?;
        merge.add_whole(&mut merged, number, body).ok_or_else(not_understood)?;
        head.get_or_insert(parts);
    }
    let (head, merged) = head.zip(merged).ok_or_else(not_understood)?;
    let mut response = Response::from_parts(head, Body::from(merge.whole(merged).to_string()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    set_type(response.headers_mut(), "application/json");
    Ok(response)
}

fn streamed(responses: Vec<Response>, merging: Merging) -> Result<Response, ApiError> {
    let (mut head, mut pieces) = (None, Vec::new());
    for (number, response) in responses.into_iter().enumerate() {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            return Err(not_understood());
        }
        let body = body.into_data_stream().map(move |piece| (number, Some(piece)));
        pieces.push(body.chain(stream::iter([(number, None)])).boxed());
        head.get_or_insert(parts);
    }
    let merged = MergedStream {
        answers: pieces.iter().map(|_| Splitter::default()).collect(),
        pieces: select_all(pieces),
        merge: Merge::new(merging.per_prompt),
        is_over: false,
    };
    let body = stream::unfold(merged, |mut merged| async {
        merged.next().await.map(|bytes| (bytes, merged))
    });
    let head = head.ok_or_else(not_understood)?;
    let mut response = Response::from_parts(head, Body::from_stream(body));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    set_type(response.headers_mut(), EVENT_STREAM);
    Ok(response)
}

/// What came of an answer; nothing at its end.
type Piece = (usize, Option<Result<Bytes, Error>>);

/// The events of several answers, in the order in which they come. When the client goes away it is
/// dropped, and with it all of them.
struct MergedStream {
    pieces: SelectAll<BoxStream<'static, Piece>>,
    answers: Vec<Splitter>,
    merge: Merge,
    /// Nothing more goes to the client.
    is_over: bool,
}

impl MergedStream {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let mut out = BytesMut::new();
        while out.is_empty() && !self.is_over {
            match self.pieces.next().await {
                Some((number, piece)) => {
                    if let Err(error) = self.take(number, piece, &mut out) {
                        self.end();
                        return Some(Err(error));
                    }
                }
                None => {
                    self.merge.finish(self.answers.len(), &mut out);
                    self.end();
                }
            }
        }
        (!out.is_empty()).then(|| Ok(out.freeze()))
    }

    fn take(
        &mut self,
        number: usize,
        piece: Option<Result<Bytes, Error>>,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let piece = piece.transpose()?;
        let splitter = &mut self.answers[number];
        match &piece {
            Some(bytes) => splitter.push(bytes),
            // Some clients read an event that no empty line ends.
            None if splitter.len() > 0 => splitter.push(b"\n\n"),
            None => {}
        }
        loop {
            let event: Option<Event> = self.answers[number]
                .next()
                .map_err(|_| Error::new("an event of an answer is too long"))?;
            let Some(event) = event else { return Ok(()) };
            if self.merge.event(number, &event, out) == Taken::Error {
                // The client must not take what came for complete.
                self.end();
                return Ok(());
            }
        }
    }

    /// Nothing more is sent, and the answers that are still being written end.
    fn end(&mut self) {
        self.is_over = true;
        self.pieces = SelectAll::new();
    }
}
