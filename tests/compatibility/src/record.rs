//! Writing what was found into a file of the list, and nothing else.

use crate::outcome::Outcome;

/// Longest line.
const WIDTH: usize = 100;
/// How an entry begins.
const START: &str = "- ";
/// Fields that are written: the last ones of an entry.
const WRITTEN: [&str; 4] = ["answer", "status", "param", "message"];

/// The same text, with what was found in place of what it says, entry by entry.
pub(crate) fn record(text: &str, found: &[Outcome]) -> String {
    let (_, entries) = text.split_once("\nentries:").unwrap_or(("", ""));
    let head = &text[..text.len() - entries.len()];
    let mut found = found.iter();
    let mut written: Vec<String> = head.lines().map(str::to_owned).collect();
    // Comments and blank lines before the next entry.
    let mut between: Vec<String> = Vec::new();
    let mut current: Option<&Outcome> = None;
    let mut is_replaced = false;
    for line in entries.lines().skip(1) {
        if line.starts_with(START) {
            written.extend(current.map(Outcome::lines).unwrap_or_default());
            written.append(&mut between);
            (current, is_replaced) = (found.next(), false);
        }
        if line.is_empty() || line.starts_with('#') {
            between.push(line.to_owned());
            continue;
        }
        if !line.starts_with("   ") {
            let key = line.trim_start().split(':').next().unwrap_or_default();
            is_replaced = current.is_some() && WRITTEN.contains(&key);
        }
        if !is_replaced {
            written.append(&mut between);
            written.push(line.to_owned());
        }
    }
    written.extend(current.map(Outcome::lines).unwrap_or_default());
    written.join("\n") + "\n"
}

/// A field with a text, in lines that are not too long.
pub(crate) fn field(key: &str, text: &str) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.[]".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) {
        return vec![format!("  {key}: {text}")];
    }
    let folds = !text.is_empty()
        && text.trim() == text
        && !text.contains("  ")
        && !text.chars().any(char::is_control);
    if !folds {
        return vec![format!("  {key}: {}", serde_json::Value::from(text))];
    }
    let mut lines = vec![format!("  {key}: >-")];
    let mut line = String::from("   ");
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if length > WIDTH && line.trim() != "" {
            lines.push(std::mem::replace(&mut line, String::from("   ")));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests;
