//! Signs of life on a stream while text is held back or read.

use axum::body::Bytes;
use futures::{Stream, StreamExt as _, stream};
use std::time::Duration;

/// The same stream, with a comment wherever it is silent for a period. Its items must be whole
/// events.
pub(super) fn keep_alive<E: Send + 'static>(
    events: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    period: Duration,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static {
    stream::unfold(Box::pin(events), move |mut events| async move {
        let next = tokio::time::timeout(period, events.next()).await;
        let item = next.unwrap_or(Some(Ok(Bytes::from_static(b": keep-alive\n\n"))));
        item.map(|item| (item, events))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_stream_gives_signs_of_life_and_loses_nothing() {
        let period = Duration::from_millis(20);
        let events = stream::iter(["a", "b"]).then(|text| async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, ()>(Bytes::from_static(text.as_bytes()))
        });
        let all: Vec<_> = keep_alive(events, period).map(Result::unwrap).collect().await;
        let is_comment = |item: &&Bytes| **item == ": keep-alive\n\n";
        assert!(all.iter().take_while(is_comment).count() > 0);
        let rest: Vec<_> = all.iter().filter(|item| !is_comment(item)).collect();
        assert_eq!(rest, ["a", "b"]);
    }
}
