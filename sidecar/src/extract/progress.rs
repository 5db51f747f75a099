//! Progress on the terminal, with the time left.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for a pass of `length` steps.
pub(super) fn bar(message: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<34} {wide_bar} {pos:>4}/{len} {elapsed:>4}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style).with_message(message)
}
