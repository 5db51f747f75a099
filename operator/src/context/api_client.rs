//! Clients of the API server. Every request has an end, and none is repeated behind our back: a
//! write that is repeated, or answered late, could come after those of another leader.

use super::api_health::{ApiHealth, Class};
use super::fence::Fence;
use axum::body::{Bytes, HttpBody};
use axum::http::{Method, Request, Response, Uri};
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Layer, Service};

/// For a write, if the fence allows it that long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a read, with its body. A page of a list may be large.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A request that was given up.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {:.1} s", .0.as_secs_f64())]
struct TimedOut(Duration);

/// A client whose writes are sent while the fence is open, and end before it closes.
pub(crate) fn fenced_client(
    config: Config,
    fence: Fence,
    health: ApiHealth,
) -> kube::Result<Client> {
    build(config, &Limits { fence: Some(fence), health })
}

/// A client for the Lease itself, by which the fence is opened.
pub(crate) fn election_client(config: Config) -> kube::Result<Client> {
    build(config, &Limits { fence: None, health: ApiHealth::default() })
}

fn build(mut config: Config, limits: &Limits) -> kube::Result<Client> {
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.with_layer(limits).build())
}

type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

#[derive(Clone, Debug)]
struct Limits {
    fence: Option<Fence>,
    health: ApiHealth,
}

impl<S> Layer<S> for Limits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limits: self.clone() }
    }
}

#[derive(Debug)]
struct Limited<S> {
    inner: S,
    limits: Limits,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let class = class(&request);
        let limit = match (class, &self.limits.fence) {
            (Class::Read | Class::Watch, _) => READ_TIMEOUT,
            (Class::Write, None) => WRITE_TIMEOUT,
            (Class::Write, Some(fence)) => match fence.remaining() {
                Ok(remaining) => remaining.min(WRITE_TIMEOUT),
                Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
            },
        };
        if class == Class::Write {
            end_on_server(&mut request, limit);
        }
        let (sent, health) = (Instant::now(), self.limits.health.clone());
        let response = self.inner.call(request);
        Box::pin(async move {
            let answer = async { whole(class, response.await.map_err(Into::into)?).await };
            match timeout_at(sent + limit, answer).await {
                Ok(answer) => {
                    // Without a connection there was no answer.
                    match &answer {
                        Ok(_) => health.answered(class),
                        Err(_) => health.unanswered(class, sent),
                    }
                    answer
                }
                Err(_) => {
                    health.unanswered(class, sent);
                    Err(TimedOut(limit).into())
                }
            }
        })
    }
}

/// The answer with its body, but for a watch, whose body has no end.
async fn whole<B>(class: Class, response: Response<B>) -> Result<Response<AnswerBody>, BoxError>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let body = match class {
        Class::Watch => body.map_err(Into::into).boxed_unsync(),
        Class::Read | Class::Write => {
            let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
            Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
        }
    };
    Ok(Response::from_parts(parts, body))
}

fn class(request: &Request<Body>) -> Class {
    let query = request.uri().query().unwrap_or_default();
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    // A review changes nothing.
    if query.split('&').any(|parameter| parameter.starts_with("watch=")) && reads {
        Class::Watch
    } else if reads || request.uri().path().ends_with("/tokenreviews") {
        Class::Read
    } else {
        Class::Write
    }
}

/// Has the API server end the request as well, wherever it is by then: in admission, say.
fn end_on_server(request: &mut Request<Body>, limit: Duration) {
    let uri = request.uri();
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let text = format!("{uri}{separator}timeout={}ms", limit.as_millis().max(1));
    // Digits and letters make no address invalid.
    if let Ok(uri) = text.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests;
