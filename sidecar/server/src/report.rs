//! What the sidecar tells the operator: cumulative and content-free.

mod ledger;
mod push;

pub use ledger::{Ended, Ledger};
pub use push::{Pusher, Target};
