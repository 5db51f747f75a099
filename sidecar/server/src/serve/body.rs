//! Bodies of requests, read within limits.

use super::error::ApiError;
use super::listen::Limits;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt as _;
use std::time::{Duration, Instant};

/// Most of a body that is too large that is read on, so that a client which sends all before it
/// listens gets its answer.
const DRAIN_BYTES: usize = 64 << 20;
/// Longest time for that.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Reads a body within its limits.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: Limits,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("The body is larger than {} bytes.", limits.body_bytes);
        ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut chunks = body.into_data_stream();
    if announced.is_some_and(|length| length > limits.body_bytes) {
        // A client that asks first has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut chunks, 0).await;
        }
        return Err(too_large());
    }
    let deadline = Instant::now() + limits.body_time;
    let mut bytes = Vec::with_capacity(announced.unwrap_or(4096));
    loop {
        match tokio::time::timeout_at(deadline.into(), chunks.next()).await {
            Ok(None) => return Ok(bytes.into()),
            Ok(Some(Ok(chunk))) if bytes.len() + chunk.len() > limits.body_bytes => {
                drain(&mut chunks, bytes.len() + chunk.len()).await;
                return Err(too_large());
            }
            Ok(Some(Ok(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(Some(Err(_))) => {
                return Err(ApiError::body(
                    StatusCode::BAD_REQUEST,
                    "invalid_body",
                    "The body ended early.",
                ));
            }
            Err(_) => {
                let message =
                    format!("The body did not arrive within {} s.", limits.body_time.as_secs());
                return Err(ApiError::body(
                    StatusCode::REQUEST_TIMEOUT,
                    "request_timeout",
                    message,
                ));
            }
        }
    }
}

async fn drain(chunks: &mut axum::body::BodyDataStream, mut read: usize) {
    let rest = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > DRAIN_BYTES {
                break;
            }
        }
    };
    // What happens to the rest matters to nobody.
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}
