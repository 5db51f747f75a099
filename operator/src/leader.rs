//! Leader election by a Lease, with fencing: an operator writes nothing once another may hold the
//! Lease. The crates that implement it lag behind kube 5 and do not fence.

mod elector;
mod lease;
mod pod_label;

pub(crate) use elector::Elector;
pub(crate) use lease::LEASE;
pub(crate) use pod_label::label_leader;
