//! How wide the lines are.

#[cfg(test)]
mod tests;

use crate::files::Files;

const WIDEST: usize = 100;

/// An error for each line of a Rust, Python or Markdown file that is too wide. Rows of a table
/// cannot be wrapped, nor can a URL; neither counts.
pub(super) fn check(files: &Files) -> Vec<String> {
    let mut errors = Vec::new();
    for (path, text) in files {
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        for (index, line) in text.lines().enumerate() {
            let width = width(line);
            if width > WIDEST && !(is_page && line.starts_with('|')) {
                let (file, number) = (path.display(), index + 1);
                errors.push(format!("{file}:{number}: {width} columns, at most {WIDEST}"));
            }
        }
    }
    errors
}

/// The columns of a line, without those of URLs.
fn width(line: &str) -> usize {
    let urls = line.split_whitespace().filter(|word| word.contains("://"));
    line.chars().count() - urls.map(|url| url.chars().count()).sum::<usize>()
}
