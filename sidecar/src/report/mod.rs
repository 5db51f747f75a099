//! What the sidecar tells the operator: cumulative and content-free.

mod ledger;
mod push;

pub use ledger::{Ended, Ledger};
pub(crate) use push::build as client;
pub use push::{Pusher, Target};
