//! Files of conversations: one JSON object per line,
//! `{"messages": [{"role": …, "content": …}, …]}`, as OpenAI's finetuning takes them.

use crate::error::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Size of the longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// How many messages a conversation has at most.
const MAX_MESSAGES: usize = 1000;

/// One conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its line in the file, 1-based.
    pub line: u64,
    /// The messages before the answer.
    pub prompt: Vec<Value>,
    /// The answer: the last message, if it is the assistant's.
    pub answer: Option<String>,
    /// Other fields of the line, such as labels.
    pub fields: Map<String, Value>,
}

impl Conversation {
    /// A conversation of one user message without an answer.
    #[must_use]
    pub fn from_question(line: u64, question: &str) -> Self {
        let prompt = vec![json!({ "role": "user", "content": question })];
        Self { line, prompt, answer: None, fields: Map::new() }
    }

    /// The system prompt; empty if there is none.
    #[must_use]
    pub fn system_prompt(&self) -> &str {
        self.prompt
            .first()
            .filter(|message| message["role"] == "system")
            .and_then(|message| message["content"].as_str())
            .unwrap_or_default()
    }

    /// The answer's text; empty if there is none.
    #[must_use]
    pub fn answer_text(&self) -> &str {
        self.answer.as_deref().unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Line {
    messages: Vec<Message>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// Reads the first conversations of a file, at most `limit` of them. Empty lines are skipped.
///
/// # Errors
/// If the file cannot be read, or a line is not a conversation. The message names the line and
/// never quotes it.
pub fn read_conversations(path: &Path, limit: usize) -> Result<Vec<Conversation>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut conversations = Vec::new();
    let mut number = 0;
    while conversations.len() < limit {
        let mut text = Vec::new();
        let read = reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text)?;
        number += 1;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            bail!("{} line {number} is longer than {MAX_LINE} bytes", path.display());
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let conversation =
            parse(&text, number).with_context(|| format!("{} line {number}", path.display()))?;
        conversations.push(conversation);
    }
    Ok(conversations)
}

fn parse(text: &[u8], line: u64) -> Result<Conversation> {
    // The parser's own message is dropped, because it may quote the line.
    let Ok(Line { mut messages, fields }) = serde_json::from_slice(text) else {
        bail!(
            "is not a conversation: it needs \"messages\", a list of objects with \"role\" and \
             \"content\", both strings"
        );
    };
    if messages.len() > MAX_MESSAGES {
        bail!("has more than {MAX_MESSAGES} messages");
    }
    let answer = messages.pop_if(|last| last.role == "assistant").map(|last| last.content);
    if !messages.iter().any(|message| message.role == "user") {
        bail!("has no user message");
    }
    let prompt = messages
        .into_iter()
        .map(|message| json!({ "role": message.role, "content": message.content }))
        .collect();
    Ok(Conversation { line, prompt, answer, fields })
}

#[cfg(test)]
mod tests;
