//! Fetching from a hub on this computer that speaks the protocol, and fails as it is told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod compatibility;
mod faults;
mod folders;
mod refusals;
mod rig;
mod transfers;
