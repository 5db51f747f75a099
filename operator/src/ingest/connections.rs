//! Connections of the report server. Until one has carried a valid token it is bounded: in number,
//! by peer and in all, and in time. One that is open to anyone must not cost more than that.

use axum_server::accept::Accept;
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Connections without a valid token, of one peer and of all. A fleet behind one address has few
/// such at a time: a token takes milliseconds.
const MAX_STRANGERS_PER_PEER: usize = 64;
const MAX_STRANGERS: usize = 1024;
/// Connections that are open at the same time.
const MAX_OPEN: usize = 32_768;
/// Time for the handshake, the head of the first request and its token.
const INTRODUCTION: Duration = Duration::from_secs(8);
/// Time without a valid token afterwards. Sidecars push every 30 s, and close after 30 s.
const IDLE: Duration = Duration::from_secs(75);

/// The open connections, by their peer's address and port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<SocketAddr, State>,
    strangers: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct State {
    introduced: bool,
    deadline: Instant,
}

impl Connections {
    /// The connection has carried a valid token.
    pub(super) fn introduce(&self, peer: SocketAddr) {
        let open = &mut *self.lock();
        let Some(state) = open.connections.get_mut(&peer) else { return };
        state.deadline = Instant::now() + IDLE;
        if !std::mem::replace(&mut state.introduced, true) {
            open.leave_strangers(peer.ip());
        }
    }

    fn open(&self, peer: SocketAddr) -> Option<Instant> {
        let open = &mut *self.lock();
        let all: usize = open.strangers.values().sum();
        let own = open.strangers.get(&peer.ip()).copied().unwrap_or(0);
        let full = own >= MAX_STRANGERS_PER_PEER
            || all >= MAX_STRANGERS
            || open.connections.len() >= MAX_OPEN;
        if full {
            return None;
        }
        *open.strangers.entry(peer.ip()).or_default() += 1;
        let deadline = Instant::now() + INTRODUCTION;
        open.connections.insert(peer, State { introduced: false, deadline });
        Some(deadline)
    }

    fn deadline(&self, peer: SocketAddr) -> Option<Instant> {
        self.lock().connections.get(&peer).map(|state| state.deadline)
    }

    fn close(&self, peer: SocketAddr) {
        let open = &mut *self.lock();
        let state = open.connections.remove(&peer);
        if state.is_some_and(|state| !state.introduced) {
            open.leave_strangers(peer.ip());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each method leaves the maps valid after each statement that can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn leave_strangers(&mut self, peer: IpAddr) {
        if let Some(count) = self.strangers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&peer);
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Bounded<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let deadline = self.open(peer).ok_or_else(|| io::Error::other("too many"))?;
            let timer = Box::pin(sleep_until(deadline));
            let connections = self.clone();
            Ok((Bounded { stream, peer, connections, timer }, service))
        }))
    }
}

/// A connection that ends at its deadline.
#[derive(Debug)]
pub(crate) struct Bounded<I> {
    stream: I,
    peer: SocketAddr,
    connections: Connections,
    timer: Pin<Box<Sleep>>,
}

impl<I> Bounded<I> {
    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
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
