//! What is remembered of tokens that were reviewed, and of those who sent tokens that were refused.
//! Anyone can have tokens reviewed, so all of it is bounded.

use super::pod_identity::PodIdentity;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Pods whose tokens are remembered, and tokens of one pod: a sidecar has one, and renews it.
const MAX_ACCEPTED: usize = 10_000;
const MAX_ACCEPTED_PER_POD: usize = 4;
/// For how long a refused token is not reviewed once more, and how many are remembered.
const REFUSED_FOR: Duration = Duration::from_secs(10);
const MAX_REFUSED: usize = 10_000;
/// Longest part of the API server's words that is kept.
const MAX_WHY_CHARS: usize = 200;
/// For how long a peer is known for a refused token, and how many peers are.
const SUSPECT_FOR: Duration = Duration::from_secs(60);
const MAX_SUSPECTS: usize = 10_000;

/// SHA-256 of a token.
pub(super) type TokenHash = [u8; 32];

#[derive(Debug)]
struct Accepted {
    identity: PodIdentity,
    expires: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Reviews {
    accepted: HashMap<TokenHash, Accepted>,
    /// Why, and until when.
    refused: HashMap<TokenHash, (String, Instant)>,
    suspects: HashMap<IpAddr, Instant>,
}

/// What a review said not long ago.
#[derive(Debug, PartialEq)]
pub(super) enum Remembered {
    Accepted(PodIdentity),
    Refused(String),
}

impl Reviews {
    pub(super) fn remembered(&self, token: &TokenHash, now: Instant) -> Option<Remembered> {
        if let Some(known) = self.accepted.get(token).filter(|known| known.expires > now) {
            return Some(Remembered::Accepted(known.identity.clone()));
        }
        let refused = self.refused.get(token).filter(|(_, until)| *until > now);
        refused.map(|(why, _)| Remembered::Refused(why.clone()))
    }

    /// Whether a peer sent a token lately that was refused.
    pub(super) fn suspects(&self, peer: IpAddr, now: Instant) -> bool {
        self.suspects.get(&peer).is_some_and(|until| *until > now)
    }

    /// No pod takes the place of others: of each the latest tokens are remembered.
    pub(super) fn accept(
        &mut self,
        token: TokenHash,
        identity: PodIdentity,
        ttl: Duration,
        now: Instant,
    ) {
        let own = self.accepted.iter().filter(|(_, known)| known.identity.uid == identity.uid);
        if own.clone().count() >= MAX_ACCEPTED_PER_POD
            && let Some(oldest) = own.min_by_key(|(_, known)| known.expires).map(|(hash, _)| *hash)
        {
            self.accepted.remove(&oldest);
        }
        make_room(&mut self.accepted, MAX_ACCEPTED, |known| known.expires > now);
        self.accepted.insert(token, Accepted { identity, expires: now + ttl });
    }

    pub(super) fn refuse(&mut self, token: TokenHash, why: &str, now: Instant) {
        make_room(&mut self.refused, MAX_REFUSED, |(_, until)| *until > now);
        let why = why.chars().take(MAX_WHY_CHARS).collect();
        self.refused.insert(token, (why, now + REFUSED_FOR));
    }

    /// A token of this peer was refused.
    pub(super) fn suspect(&mut self, peer: IpAddr, now: Instant) {
        make_room(&mut self.suspects, MAX_SUSPECTS, |until| *until > now);
        self.suspects.insert(peer, now + SUSPECT_FOR);
    }
}

/// Forgets what is over, and everything where that is not enough.
fn make_room<K, V>(known: &mut HashMap<K, V>, most: usize, lasts: impl Fn(&V) -> bool) {
    if known.len() >= most {
        known.retain(|_, value| lasts(value));
        if known.len() >= most {
            known.clear();
        }
    }
}

#[cfg(test)]
mod tests;
