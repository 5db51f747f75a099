//! What the sidecar tells the operator: cumulative and without content.

mod client;
mod drift;
mod failures;
mod ledger;
mod process_key;
mod push;
mod trait_summaries;

pub use client::ReportTarget;
pub use ledger::{Ledger, ResponseFlags};
pub use process_key::ProcessKey;
pub use push::ReportPusher;
