//! Messages that travel in reports.

use personaguard_wire::Failure;

/// Longest message in characters.
const MAX_CHARS: usize = 1000;

/// A message that fits in a report.
pub(super) fn clip(message: &str) -> String {
    match message.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// A failure with a message that fits in a report.
pub(super) fn failure(reason: &str, message: &str) -> Failure {
    Failure { reason: reason.to_owned(), message: clip(message) }
}
