//! Server-sent events of our own.

use axum::BoxError;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use std::time::Duration;

/// Longest silence of a stream: load balancers and clients commonly give up after 30 s or more.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A response of these events, with a comment wherever they are silent for long. It names the
/// charset, which some clients would guess otherwise.
pub(crate) fn event_stream<S, E>(events: S) -> Response
where
    S: Stream<Item = Result<Event, E>> + Send + 'static,
    E: Into<BoxError>,
{
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], events).into_response()
}
