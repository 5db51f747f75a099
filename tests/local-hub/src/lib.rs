//! A model hub on this computer, for tests. It speaks the protocol of huggingface.co: small files
//! come from the hub itself, large ones by a redirect from a storage on another port. It records
//! what it is asked, and fails as it is told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only for tests")]

mod answer;
mod fault;
mod faults;
mod hub;
mod state;

pub use fault::Fault;
pub use hub::LocalHub;
pub use state::{COMMIT, REPO, Seen, Server};
