//! A body that says when it has been read to its end.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Calls `notify` at the end of `body`.
pub(super) struct NotifyAtEnd<B, N> {
    body: B,
    notify: N,
}

impl<B: Body, N: Fn()> NotifyAtEnd<B, N> {
    /// An empty body is at its end at once.
    pub(super) fn new(body: B, notify: N) -> Self {
        if body.is_end_stream() {
            notify();
        }
        Self { body, notify }
    }
}

impl<B: Body<Data = Bytes> + Unpin, N: Fn() + Unpin> Body for NotifyAtEnd<B, N> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || (frame.is_ready() && self.body.is_end_stream()) {
            (self.notify)();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
