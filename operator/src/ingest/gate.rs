//! Who may push: a pod that proves which one it is, before a byte of its body is read, and with a
//! bound on how much it does at the same time.

use super::connections::Connections;
use super::error::PushError;
use super::identity::{PodIdentity, TokenReviewer};
use super::slots::{Slot, Slots};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use kube::Client;
use std::net::SocketAddr;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Pushes that are handled at the same time, of one pod, of one namespace and of all. Further ones
/// are to be retried.
const MAX_PUSHES_PER_POD: usize = 2;
const MAX_PUSHES_PER_NAMESPACE: usize = 128;
const MAX_CONCURRENT_PUSHES: usize = 256;

pub(super) struct Gate {
    reviewer: TokenReviewer,
    connections: Connections,
    slots: Semaphore,
    pods: Slots<String>,
    namespaces: Slots<String>,
}

/// A push that may be read. Its places are free again when this is dropped.
pub(super) struct Admitted<'a> {
    pub(super) pod: PodIdentity,
    _own: Slot<String>,
    _namespace: Slot<String>,
    _all: SemaphorePermit<'a>,
}

impl Gate {
    pub(super) fn new(client: Client, connections: Connections) -> Self {
        Self {
            reviewer: TokenReviewer::new(client),
            connections,
            slots: Semaphore::new(MAX_CONCURRENT_PUSHES),
            pods: Slots::new(MAX_PUSHES_PER_POD),
            namespaces: Slots::new(MAX_PUSHES_PER_NAMESPACE),
        }
    }

    /// By the head of a request alone.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Admitted<'_>, PushError> {
        let pod = self.reviewer.identify(bearer_token(headers)?, peer.ip()).await?;
        self.connections.introduce(peer, &pod.uid);
        let own = self.pods.take(&pod.uid).ok_or(PushError::Overloaded)?;
        let namespace = self.namespaces.take(&pod.namespace).ok_or(PushError::Overloaded)?;
        let all = self.slots.try_acquire().map_err(|_| PushError::Overloaded)?;
        Ok(Admitted { pod, _own: own, _namespace: namespace, _all: all })
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, PushError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
        PushError::Unauthenticated("send the header `Authorization: Bearer TOKEN`".to_owned())
    })
}

#[cfg(test)]
mod tests;
