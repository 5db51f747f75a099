//! Connections of the report server. Until one has carried a valid token it is bounded: in number,
//! by peer and in all, and in time. One that is open to anyone must not cost more than that, and
//! must not keep others out: where all places are taken, whoever has most gives one up.

mod open;

use axum_server::accept::Accept;
use open::{Open, Opened};
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

/// The open connections, by their peer's address and port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<Open>>);

impl Connections {
    /// The connection has carried a valid token of this pod.
    pub(super) fn introduce(&self, peer: SocketAddr, pod: &str) {
        self.lock().introduce(peer, pod, Instant::now());
    }

    fn open(&self, peer: SocketAddr) -> Option<Opened> {
        self.lock().open(peer, Instant::now())
    }

    fn deadline(&self, peer: SocketAddr) -> Option<Instant> {
        self.lock().deadline(peer)
    }

    fn close(&self, peer: SocketAddr) {
        self.lock().close(peer);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each method leaves the maps valid after each statement that can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Bounded<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let opened = self.open(peer).ok_or_else(|| io::Error::other("too many"))?;
            Ok((Bounded::new(stream, peer, self.clone(), opened), service))
        }))
    }
}

/// A connection that ends at its deadline, or when it has to make room.
#[derive(Debug)]
pub(crate) struct Bounded<I> {
    stream: I,
    peer: SocketAddr,
    connections: Connections,
    timer: Pin<Box<Sleep>>,
    /// Resolves when it has to make room; `None` from then on.
    ended: Option<oneshot::Receiver<()>>,
}

impl<I> Bounded<I> {
    fn new(stream: I, peer: SocketAddr, connections: Connections, opened: Opened) -> Self {
        let Opened { deadline, ended } = opened;
        Self {
            stream,
            peer,
            connections,
            timer: Box::pin(sleep_until(deadline)),
            ended: Some(ended),
        }
    }

    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let ended = self.ended.as_mut();
        if ended.is_none_or(|ended| Pin::new(ended).poll(context).is_ready()) {
            self.ended = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        while self.timer.as_mut().poll(context).is_ready() {
            match self.connections.deadline(self.peer) {
                Some(deadline) if deadline > Instant::now() => {
                    self.timer.as_mut().reset(deadline);
                }
                _ => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        Ok(())
    }
}

impl<I> Drop for Bounded<I> {
    fn drop(&mut self) {
        self.connections.close(self.peer);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Bounded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Bounded<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
