//! Logs on disk: one that says what was decided about each response and has no text, and one with
//! conversations, for policies that ask for it.
//!
//! - [`chain`]: lines linked by hashes (pure).
//! - [`Log`]: a file of such lines, written by a thread of its own, bounded and rotated.
//! - [`entry`]: what the lines say.
//! - [`verify`]: finds any edit, gap, truncation or reordering.

pub mod chain;
pub mod entry;
mod files;
mod log;
mod logs;
mod tail;
mod verify;
mod writer;

pub use files::LogLimits;
pub use log::Log;
pub use logs::Logs;
pub use verify::{Verified, VerifyError, verify};
pub use writer::LogError;
