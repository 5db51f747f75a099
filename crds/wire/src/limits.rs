//! Limits on what is sent. Everything in a report reaches an object that people read, so all of it
//! is bounded.

use std::collections::BTreeSet;

/// Longest report body, in bytes.
pub const MAX_REPORT_BYTES: usize = 256 * 1024;

/// Longest vector file that an extraction Job can deliver, in bytes: what a ConfigMap holds, less
/// room for its metadata.
pub const MAX_VECTOR_BYTES: usize = (1 << 20) - (16 << 10);

/// Most traits with a sample in one report.
pub const MAX_SAMPLES: usize = 48;

/// Most system prompts that a sample tells apart; further ones are not recorded.
pub const MAX_SYSTEM_PROMPTS: usize = 8;

/// Most centroids of a sketch. Up to this many scores are kept exactly.
pub const MAX_CENTROIDS: usize = 64;

/// Most policies in one report.
pub(crate) const MAX_POLICIES: usize = 128;

/// Most traits in one report.
pub(crate) const MAX_TRAITS: usize = 256;

/// Most refused traits of one policy.
pub(crate) const MAX_REFUSED: usize = 64;

/// Longest name of an object, in bytes.
pub(crate) const MAX_NAME: usize = 253;

/// Longest id of a process or UID of an object, in bytes.
pub(crate) const MAX_ID: usize = 64;

/// Longest id of a response, in bytes.
pub(crate) const MAX_RESPONSE_ID: usize = 128;

/// Longest reason, in bytes.
pub(crate) const MAX_REASON: usize = 100;

/// Longest message, in bytes.
pub(crate) const MAX_MESSAGE: usize = 2000;

/// The largest count that is received; far below 2^53, so that sums of counts stay exact, and far
/// below what the API server stores.
pub(crate) const MAX_COUNT: u64 = 1 << 40;

/// Whether a text has the form of a name or an id, so that it cannot carry text of a conversation.
pub(crate) fn is_name(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whether so many of anything can have been counted.
pub(crate) fn is_count(value: u64) -> bool {
    value <= MAX_COUNT
}

/// Whether a text has the form of a UID, which is empty without a cluster.
pub(crate) fn is_uid(text: &str) -> bool {
    text.is_empty() || is_name(text, MAX_ID)
}

/// Whether no two of these are the same.
pub(crate) fn all_differ<T: Ord>(mut all: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    all.all(|one| seen.insert(one))
}

/// Whether a number can be a score, or a sum of squared scores.
pub(crate) fn is_score(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e15
}
