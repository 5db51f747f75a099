//! A stream under an enforcing policy: read, score, release, in turns.

use super::forward::stalled;
use super::guarded::Guard;
use super::held::Held;
use super::scorer::Scorer;
use crate::telemetry::metrics::Outcome;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A few words wait for more at most so long before they are scored.
const PATIENCE: Duration = Duration::from_millis(250);

/// The answer, with what may leave of it. When the client goes away it is dropped, and with it the
/// upstream connection.
pub(super) fn response(guard: Guard, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // What is held back, or told in its place, has another length.
    parts.headers.remove(header::CONTENT_LENGTH);
    let Guard { transcript, scorer, api, expected, silence } = guard;
    let held = Held::new(transcript, api, expected);
    let pump = Pump {
        held,
        scorer,
        upstream: Some(body.into_data_stream()),
        silence,
        heard: Instant::now(),
        over: false,
    };
    let body =
        stream::unfold(pump, |mut pump| async { pump.next().await.map(|bytes| (bytes, pump)) });
    Response::from_parts(parts, Body::from_stream(body))
}

struct Pump {
    held: Held,
    scorer: Scorer,
    /// None after its end.
    upstream: Option<BodyDataStream>,
    silence: Duration,
    heard: Instant,
    /// Nothing more goes to the client.
    over: bool,
}

impl Pump {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let mut force = false;
        while !self.over {
            if let Some(bytes) = self.held.release() {
                return Some(Ok(bytes));
            }
            if self.held.is_done() {
                self.upstream = None;
                self.held.transcript.close(None);
                self.over = true;
            } else if self.scorer.step(&mut self.held.transcript, std::mem::take(&mut force)).await
            {
            } else if let Some(upstream) = &mut self.upstream {
                let end = self.heard + self.silence;
                let soon = Instant::now() + PATIENCE;
                let until = if self.held.transcript.waits() { end.min(soon) } else { end };
                match timeout_at(until, upstream.next()).await {
                    Ok(Some(Ok(bytes))) => {
                        self.heard = Instant::now();
                        self.held.push(&bytes);
                    }
                    Ok(None) => {
                        self.upstream = None;
                        self.held.end();
                    }
                    Ok(Some(Err(error))) => return Some(Err(self.fail(error))),
                    Err(_) if Instant::now() < end => force = true,
                    Err(_) => {
                        let error = stalled(self.silence);
                        let text = serde_json::to_string(&error.body).unwrap_or_default();
                        self.over = true;
                        self.upstream = None;
                        self.held.transcript.close(Some(Outcome::Error));
                        return Some(Ok(Bytes::from(format!("data: {text}\n\n"))));
                    }
                }
            } else {
                // Everything was said and scored, and still something waits: that would be a bug,
                // and nothing leaves.
                return Some(Err(self.fail(axum::Error::new("an answer was held back"))));
            }
        }
        None
    }

    /// The client sees the answer break off, as it did for the proxy. What was not scored does not
    /// leave.
    fn fail(&mut self, error: axum::Error) -> axum::Error {
        self.over = true;
        self.upstream = None;
        self.held.transcript.close(Some(Outcome::Error));
        error
    }
}
