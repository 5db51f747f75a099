//! Which process of a pod is believed. Pure.
//!
//! A report is signed with a key that its process made when it started, so nobody can continue the
//! reports of another. But whoever can have a token for the pod can begin. What they cannot have is
//! what the API server says of the container, and what the connection says of the address.

use personaguard_api::PodCounts;

/// What a push is known by, beside its signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// How often the sidecar's container was started anew, as the API server says now.
    pub(crate) restarts: i32,
    /// The connection comes from an address of the pod.
    pub(crate) own_address: bool,
    /// The process that is believed has not reported for long.
    pub(crate) other_is_silent: bool,
}

/// Another process than the one that is believed reports for the same container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "another process of this pod's sidecar reports already; one that was started anew is believed \
     once the API server says so"
)]
pub(crate) struct Contested;

/// A process of a sidecar: its pod's UID, and its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    uid: String,
    instance: String,
}

impl Process {
    pub(crate) fn of(pod: &PodCounts) -> Self {
        Self { uid: pod.uid.clone(), instance: pod.instance.clone() }
    }
}

/// What a process is to the one that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is that process.
    Same,
    /// The container was started anew: it takes over, and what the former counted stays.
    Successor,
    /// It reports from within the pod and the other does not, or it goes on reporting and the other
    /// does not: it takes over, and what the other said is forgotten.
    Rightful,
}

/// Judges a push of process `instance`.
pub(super) fn judge(known: &PodCounts, instance: &str, origin: Origin) -> Result<Claim, Contested> {
    if known.instance == instance {
        Ok(Claim::Same)
    } else if origin.own_address && !known.own_address {
        // Also after a restart: the one before never proved that it was within the pod.
        Ok(Claim::Rightful)
    } else if known.restarts != origin.restarts && follows(known, origin) {
        Ok(Claim::Successor)
    } else if origin.other_is_silent && origin.own_address == known.own_address {
        Ok(Claim::Rightful)
    } else {
        Err(Contested)
    }
}

/// Whether a process can be the one that was started anew: where the one before was within the pod,
/// so is this one. Where that cannot be seen any more, it waits until the other is silent.
fn follows(known: &PodCounts, origin: Origin) -> bool {
    origin.own_address || !known.own_address || origin.other_is_silent
}

#[cfg(test)]
mod tests;
