//! What the sidecar tells the operator: cumulative and without content.

mod client;
mod drift;
mod failures;
mod ledger;
mod push;
mod trait_summaries;

pub use client::ReportTarget;
pub use ledger::{Ledger, ResponseFlags};
pub use push::ReportPusher;
