//! Messages that travel in reports.

use personaguard_terms::with_causes;
use personaguard_wire::Failure;
use std::error::Error;

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

/// The same, of an error and its causes.
pub(super) fn failure_of(reason: &str, error: &dyn Error) -> Failure {
    failure(reason, &with_causes(error))
}
