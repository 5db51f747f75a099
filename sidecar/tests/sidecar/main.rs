//! The sidecar as a whole, in this process, with the real engine and a real model.

mod api;
mod bad_requests;
mod config;
mod enforcement;
mod failures;
mod guard_invariants;
mod limits;
mod reports;
mod rig;
mod silence;
