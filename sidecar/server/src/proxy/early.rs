//! A stream that begins before the upstream server has answered, so that the client sees a sign of
//! life while a long prompt is read.

use super::headers::set_type;
use super::keep_alive::keep_alive;
use super::stream::EVENT_STREAM;
use crate::http::{ApiError, KEEP_ALIVE};
use axum::Error;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};

/// The response that is to come, as a stream. What is no stream, such as an error, comes as an
/// event: its status can no longer be told.
pub(super) fn response(
    answer: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Response {
    let events = stream::once(async move {
        let response = answer.await.unwrap_or_else(ApiError::into_response);
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = response.into_body().into_data_stream();
        if is_stream { body.boxed() } else { as_event(body.boxed()) }
    });
    let first = stream::iter([Ok(Bytes::from_static(b": keep-alive\n\n"))]);
    let events = first.chain(keep_alive(events.flatten(), KEEP_ALIVE));
    let mut response = Response::new(Body::from_stream(events));
    set_type(response.headers_mut(), EVENT_STREAM);
    response
}

type Bodies = stream::BoxStream<'static, Result<Bytes, Error>>;

/// A body in one line, as the data of an event.
fn as_event(body: Bodies) -> Bodies {
    let begin = stream::iter([Ok(Bytes::from_static(b"data: "))]);
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    begin.chain(body).chain(end).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    async fn bytes(response: Response) -> String {
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_stream_begins_before_it_is_answered() {
        let late = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut response = Response::new(Body::from("data: {}\n\n"));
            set_type(response.headers_mut(), EVENT_STREAM);
            Ok(response)
        };
        assert_eq!(bytes(response(late)).await, ": keep-alive\n\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn an_error_comes_as_an_event() {
        let text = bytes(response(async { Err(ApiError::unscorable()) })).await;
        let (comment, event) = text.split_once("\n\n").unwrap();
        assert_eq!(comment, ": keep-alive");
        assert!(event.starts_with("data: {\"error\":") && event.ends_with("}\n\n"), "{event}");
        assert_eq!(event.matches('\n').count(), 2, "one event");
    }
}
