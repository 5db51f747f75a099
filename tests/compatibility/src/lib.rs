//! What clients send and what files hold, and what becomes of each: one list, by which tests ask
//! and from which `docs/compatibility.md` is made.
//!
//! Each file in `requests/` and `files/` is a [`Section`]. Its entries are written by hand, but for
//! the last fields of each, from `answer` on: with `PERSONAGUARD_UPDATE=1` the tests write there
//! what they found, for a person to look at before it is committed.

mod entry;
mod outcome;
mod record;
mod section;

pub use entry::{Entry, FileEntry, RequestEntry};
pub use outcome::{Answer, Outcome};
pub use section::{ListError, Section};

/// Sections about requests, in the order of the page.
pub const REQUESTS: [&str; 6] =
    ["body", "messages", "parameters", "tools", "other_apis", "in_front_of_vllm"];
/// Sections about files, in the order of the page.
pub const FILES: [&str; 7] =
    ["gguf", "hub_folders", "hub", "chat_templates", "adapters", "vectors", "training_data"];

/// The sections about requests.
///
/// # Errors
/// A file of the list cannot be read.
pub fn requests() -> Result<Vec<Section<RequestEntry>>, ListError> {
    REQUESTS.iter().map(|name| Section::read(&format!("requests/{name}.yaml"))).collect()
}

/// The section of this name about files.
///
/// # Errors
/// It cannot be read.
pub fn files(name: &str) -> Result<Section<FileEntry>, ListError> {
    Section::read(&format!("files/{name}.yaml"))
}
