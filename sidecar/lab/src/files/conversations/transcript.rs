//! Conversations as one text with `Human:` and `Assistant:`, as Anthropic's published sets have
//! them.

use serde_json::{Value, json};

const MARKS: [(&str, &str); 2] = [("\n\nHuman:", "user"), ("\n\nAssistant:", "assistant")];

/// The turns of a transcript; `None` for any other text. A last turn without words, with which a
/// prompt ends, is left out.
pub(super) fn messages(text: &str) -> Option<Vec<Value>> {
    let (mark, _) = MARKS[0];
    if !text.starts_with(mark) {
        return None;
    }
    let mut turns: Vec<Value> = Vec::new();
    let mut rest = text;
    while let Some((mark, role)) = MARKS.into_iter().find(|(mark, _)| rest.starts_with(mark)) {
        rest = &rest[mark.len()..];
        let end = MARKS.iter().filter_map(|(mark, _)| rest.find(mark)).min().unwrap_or(rest.len());
        let words = rest[..end].trim();
        rest = &rest[end..];
        if !(words.is_empty() && rest.is_empty()) {
            turns.push(json!({ "role": role, "content": words }));
        }
    }
    Some(turns)
}
