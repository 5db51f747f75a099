//! The one reader of bodies: within a size, within a time, and within the memory of all of them.

use super::body_budget::{ArrivingBody, BodyBudget, BodyGuard, NoRoom};
use super::error::ApiError;
use super::limits::Limits;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures::{StreamExt as _, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of a body that is too large is still read, so that a client which sends everything
/// before it listens gets its answer.
const DRAIN_BYTES: usize = 64 << 20;
/// Longest time for that.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How long to wait for a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// For all of it.
    Whole(Duration),
    /// For each piece of it.
    Piece(Duration),
}

/// A body, as far as it was read.
#[derive(Debug)]
pub(crate) enum Received {
    /// All of it.
    Whole(Bytes),
    /// It is longer than the limit: what was read, and the rest.
    TooLong(Bytes, BodyDataStream),
}

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The sender broke off.
    EndedEarly,
    /// The sender was too slow.
    TimedOut,
    /// Too many bodies are held already.
    NoRoom,
}

/// The bytes of a body, with the memory that they take.
struct HeldBytes {
    bytes: Vec<u8>,
    /// Gives the memory back when the last user of the bytes is gone.
    _guard: BodyGuard,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Received {
    /// The same bytes, to be sent on.
    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) => Body::from(bytes),
            Self::TooLong(bytes, rest) => Body::from_stream(stream::iter([Ok(bytes)]).chain(rest)),
        }
    }
}

/// Reads a body until it ends or has more than `limit` bytes. What was read counts against the
/// budget until it is dropped.
pub(crate) async fn collect(
    body: Body,
    limit: usize,
    patience: Patience,
    budget: BodyBudget,
) -> Result<Received, Broken> {
    let whole = Instant::now();
    let mut arriving = budget.arrival();
    let mut chunks = body.into_data_stream();
    loop {
        let deadline = match patience {
            Patience::Whole(time) => whole + time,
            Patience::Piece(time) => Instant::now() + time,
        };
        let next = tokio::select! {
            next = timeout_at(deadline, chunks.next()) => next,
            () = arriving.evicted() => return Err(Broken::NoRoom),
        };
        match next {
            Ok(None) => return Ok(Received::Whole(held(arriving)?)),
            Ok(Some(Ok(chunk))) => {
                arriving.push(&chunk).map_err(|NoRoom| Broken::NoRoom)?;
                if arriving.length() > limit {
                    return Ok(Received::TooLong(held(arriving)?, chunks));
                }
            }
            Ok(Some(Err(_))) => return Err(Broken::EndedEarly),
            Err(_) => return Err(Broken::TimedOut),
        }
    }
}

/// The bytes of a body that has been read. They count against the budget until the last of their
/// users is gone.
fn held(arriving: ArrivingBody) -> Result<Bytes, Broken> {
    let (bytes, guard) = arriving.finish().map_err(|NoRoom| Broken::NoRoom)?;
    Ok(Bytes::from_owner(HeldBytes { bytes, _guard: guard }))
}

/// Reads a request's body. It may be longer than the limit.
pub(crate) async fn receive(body: Body, limits: Limits) -> Result<Received, ApiError> {
    let patience = Patience::Whole(limits.body_time);
    let received = collect(body, limits.body_bytes, patience, limits.bodies).await;
    received.map_err(|broken| not_received(broken, limits.body_time))
}

/// What a client is told whose body did not arrive.
pub(crate) fn not_received(broken: Broken, time: Duration) -> ApiError {
    match broken {
        Broken::EndedEarly => {
            ApiError::request(StatusCode::BAD_REQUEST, "invalid_body", "The body ended early.")
        }
        Broken::TimedOut => ApiError::request(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            format!("The body did not arrive within {} s.", time.as_secs()),
        ),
        Broken::NoRoom => ApiError::unavailable(
            "too_many_bodies",
            "Too many bodies are on their way at once. Send it again, in one go.",
        ),
    }
}

/// Reads a request's body, and refuses one that is longer than the limit.
pub(crate) async fn request_body(
    headers: &HeaderMap,
    body: Body,
    limits: Limits,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes) {
        // A client that asks first (100-continue) has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(body.into_data_stream(), 0).await;
        }
        return Err(too_large(limits));
    }
    match receive(body, limits).await? {
        Received::Whole(bytes) => Ok(bytes),
        Received::TooLong(bytes, rest) => {
            drain(rest, bytes.len()).await;
            Err(too_large(limits))
        }
    }
}

fn too_large(limits: Limits) -> ApiError {
    let message = format!(
        "The body is larger than {} bytes: shorten it, or raise spec.runtime.maxRequestBytes of \
         the PersonaModel.",
        limits.body_bytes
    );
    ApiError::request(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

/// Reads a body that nobody wants, so that a client which sends everything before it listens gets
/// its answer.
pub(crate) async fn discard(body: Body) {
    drain(body.into_data_stream(), 0).await;
}

async fn drain(mut chunks: BodyDataStream, mut read: usize) {
    let rest = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > DRAIN_BYTES {
                break;
            }
        }
    };
    // Nobody needs to know how this ends.
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}

#[cfg(test)]
mod tests;
