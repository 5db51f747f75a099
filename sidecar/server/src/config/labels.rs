//! The labels of this pod, as the downward API writes them.

use super::error::ConfigError;
use super::file;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest file of labels in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file of lines `key="value"`.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let bytes = file::read(path, MAX_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let invalid = |line: &str| ConfigError::Invalid {
        path: path.to_owned(),
        message: format!("not a line key=\"value\": {line}"),
    };
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| parse(line).ok_or_else(|| invalid(line)))
        .collect()
}

/// Label values consist of letters, digits, `-`, `_` and `.`, so nothing in them is ever escaped.
fn parse(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    (!key.is_empty() && !value.contains(['"', '\\'])).then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
