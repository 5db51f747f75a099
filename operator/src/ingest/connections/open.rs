//! Which connections are open, and whose they are.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Connections without a valid token, of one peer and of all. A fleet behind one address has few
/// such at a time: a token takes milliseconds.
pub(super) const MAX_STRANGERS_PER_PEER: usize = 64;
pub(super) const MAX_STRANGERS: usize = 1024;
/// Connections of one pod. A sidecar has one.
pub(super) const MAX_PER_POD: usize = 4;
/// Connections that are open at the same time.
const MAX_OPEN: usize = 32_768;
/// Time for the handshake, the head of the first request and its token.
pub(super) const INTRODUCTION: Duration = Duration::from_secs(8);
/// Time without a valid token afterwards. Sidecars push every 30 s, and close after 30 s.
pub(super) const IDLE: Duration = Duration::from_secs(75);

#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) connections: HashMap<SocketAddr, State>,
    strangers: HashMap<IpAddr, usize>,
    /// By the pod's UID, the oldest first.
    pods: HashMap<String, Vec<SocketAddr>>,
}

#[derive(Debug)]
pub(super) struct State {
    /// UID of the pod whose token it has carried.
    pod: Option<String>,
    deadline: Instant,
    /// Dropped to end it.
    _end: oneshot::Sender<()>,
}

/// A connection that may be open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) deadline: Instant,
    pub(super) ended: oneshot::Receiver<()>,
}

impl Open {
    /// `None` if its peer has its share.
    pub(super) fn open(&mut self, peer: SocketAddr, now: Instant) -> Option<Opened> {
        let own = self.strangers.get(&peer.ip()).copied().unwrap_or(0);
        if own >= MAX_STRANGERS_PER_PEER || self.connections.len() >= MAX_OPEN {
            return None;
        }
        if self.strangers.values().sum::<usize>() >= MAX_STRANGERS {
            self.close(self.stranger_of_more_than(own)?);
        }
        *self.strangers.entry(peer.ip()).or_default() += 1;
        let (end, ended) = oneshot::channel();
        let deadline = now + INTRODUCTION;
        self.connections.insert(peer, State { pod: None, deadline, _end: end });
        Some(Opened { deadline, ended })
    }

    /// The oldest stranger of the peer that has most of them, if those are more than so many.
    fn stranger_of_more_than(&self, few: usize) -> Option<SocketAddr> {
        let most = *self.strangers.values().max()?;
        let strangers = self.connections.iter().filter(|(_, state)| state.pod.is_none());
        let greedy = strangers.filter(|(peer, _)| self.strangers.get(&peer.ip()) == Some(&most));
        let oldest = greedy.min_by_key(|(_, state)| state.deadline)?;
        (most > few).then_some(*oldest.0)
    }

    /// A pod that opens more than it needs loses the oldest.
    pub(super) fn introduce(&mut self, peer: SocketAddr, pod: &str, now: Instant) {
        let Some(state) = self.connections.get_mut(&peer) else { return };
        state.deadline = now + IDLE;
        if state.pod.is_some() {
            return;
        }
        state.pod = Some(pod.to_owned());
        self.leave_strangers(peer.ip());
        let own = self.pods.entry(pod.to_owned()).or_default();
        own.push(peer);
        if own.len() > MAX_PER_POD {
            let oldest = own[0];
            self.close(oldest);
        }
    }

    pub(super) fn deadline(&self, peer: SocketAddr) -> Option<Instant> {
        self.connections.get(&peer).map(|state| state.deadline)
    }

    pub(super) fn close(&mut self, peer: SocketAddr) {
        let Some(state) = self.connections.remove(&peer) else { return };
        let Some(pod) = state.pod else { return self.leave_strangers(peer.ip()) };
        if let Some(own) = self.pods.get_mut(&pod) {
            own.retain(|other| *other != peer);
            if own.is_empty() {
                self.pods.remove(&pod);
            }
        }
    }

    fn leave_strangers(&mut self, peer: IpAddr) {
        if let Some(count) = self.strangers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&peer);
            }
        }
    }
}
