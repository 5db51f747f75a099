//! Server-sent events of our own.

use axum::BoxError;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;

/// A response of these events. It names the charset, which some clients would guess otherwise.
pub(crate) fn event_stream<S, E>(events: S) -> Response
where
    S: Stream<Item = Result<Event, E>> + Send + 'static,
    E: Into<BoxError>,
{
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], Sse::new(events)).into_response()
}
