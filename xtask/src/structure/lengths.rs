//! How long the files are.

#[cfg(test)]
mod tests;

use super::sources::Sources;
use std::path::Path;

const LONGEST: usize = 500;
const MEDIAN: usize = 150;

/// The figures, and an error for each bound that does not hold.
pub(super) fn check(sources: &Sources) -> (String, Vec<String>) {
    let mut lengths: Vec<(usize, &Path)> =
        sources.below(Path::new("")).map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort();
    let (Some((longest, path)), Some((median, _))) =
        (lengths.last(), lengths.get(lengths.len() / 2))
    else {
        return ("no files".into(), Vec::new());
    };
    let figures = format!(
        "{} files, {median} lines at the median, {longest} at most ({})",
        lengths.len(),
        path.display()
    );
    let too_long = lengths.iter().filter(|(length, _)| *length > LONGEST);
    let mut errors: Vec<String> = too_long
        .map(|(length, path)| format!("{}: {length} lines, at most {LONGEST}", path.display()))
        .collect();
    if *median >= MEDIAN {
        errors.push(format!("the median file has {median} lines; it must be under {MEDIAN}"));
    }
    (figures, errors)
}
