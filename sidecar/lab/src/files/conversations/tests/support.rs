use crate::error::Result;
use crate::files::conversations::{Conversation, ReadOptions, Reading, read_conversations};

/// Reads a file of this name and content.
pub(super) fn read_file(name: &str, content: &[u8], skip: bool) -> Result<Read> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    read_conversations(&path, ReadOptions { limit: 100, skip_invalid: skip })
}

pub(super) type Read = (Vec<Conversation>, Reading);

/// Reads JSON lines.
pub(super) fn read(text: &str) -> Result<Vec<Conversation>> {
    Ok(read_file("data.jsonl", text.as_bytes(), false)?.0)
}

/// The one conversation of a text: its prompt's roles and texts, and its answer.
pub(super) fn turns(text: &str) -> (Vec<(String, String)>, Option<String>) {
    let [conversation] = <[_; 1]>::try_from(read(text).unwrap()).unwrap();
    let words = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let turn = |message: &serde_json::Value| (words(&message["role"]), words(&message["content"]));
    (conversation.prompt.iter().map(turn).collect(), conversation.answer)
}

/// Why a text is refused.
pub(super) fn refusal(text: &str) -> String {
    read(text).unwrap_err().with_causes()
}
