//! Logs on disk: one that says what was decided about each response and has no text, and one with
//! conversations, for policies that ask for it.
//!
//! - [`chain`]: lines linked by hashes (pure).
//! - [`Log`]: a file of such lines, written by a thread of its own, bounded and rotated.
//! - [`entry`]: what the lines say.
//! - [`Gap`]: what a start finds wrong with the log that it continues.
//! - [`verify`]: finds any edit, gap, truncation or reordering.

pub mod chain;
pub mod entry;
mod files;
mod gap;
mod log;
mod logs;
mod recorder;
mod scan;
mod start;
mod verify;
mod writer;

pub use chain::{Head, InvalidHead};
pub use files::LogLimits;
pub use gap::{Gap, GapReason, Lines, RecordedGap};
pub use log::{Log, Receipt};
pub use logs::Logs;
pub use verify::{Compared, Known, Verified, VerifyError, verify};
pub use writer::LogError;
