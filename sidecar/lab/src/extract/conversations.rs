//! Files of conversations: one JSON object a line, `{"messages": [{"role": …, "content": …}, …]}`,
//! as OpenAI's finetuning takes them.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Bytes of a line that are read at most.
const MAX_LINE: u64 = 4 << 20;
/// Messages of a conversation, at most.
const MAX_MESSAGES: usize = 1000;

/// One conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The messages before the answer.
    pub prompt: Vec<Value>,
    /// The answer, where the last message is the assistant's.
    pub answer: Option<String>,
    /// What else the line holds: labels …
    pub fields: Map<String, Value>,
}

impl Conversation {
    /// The system prompt; empty for none.
    pub fn system(&self) -> &str {
        self.prompt
            .first()
            .filter(|message| message["role"] == "system")
            .and_then(|message| message["content"].as_str())
            .unwrap_or_default()
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

/// The conversations of a file, at most `most` of them.
///
/// # Errors
/// If the file cannot be read, or a line is no conversation; the message names the line, and never
/// quotes it.
pub fn read_conversations(path: &Path, most: usize) -> anyhow::Result<Vec<Conversation>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut conversations = Vec::new();
    let mut number = 0;
    while conversations.len() < most {
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

fn parse(text: &[u8], line: u64) -> anyhow::Result<Conversation> {
    // The parser's own message may quote the line.
    let Ok(Line { mut messages, fields }) = serde_json::from_slice(text) else {
        bail!(
            "is not a conversation: it needs \"messages\", a list of objects with \"role\" and \"content\", both text"
        );
    };
    if messages.len() > MAX_MESSAGES {
        bail!("has more than {MAX_MESSAGES} messages");
    }
    let answer = messages.pop_if(|last| last.role == "assistant").map(|last| last.content);
    if !messages.iter().any(|message| message.role == "user") {
        bail!("has no message of a user");
    }
    let prompt = messages
        .into_iter()
        .map(|message| serde_json::json!({ "role": message.role, "content": message.content }))
        .collect();
    Ok(Conversation { line, prompt, answer, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Conversation>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        std::fs::write(&path, text).unwrap();
        read_conversations(&path, 10)
    }

    #[test]
    fn the_last_answer_is_taken_apart_from_what_led_to_it() {
        let read = read(
            "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"},\
             {\"role\":\"assistant\",\"content\":\"Hello\"}],\"label\":1}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}\n",
        )
        .unwrap();
        assert_eq!(
            (read[0].line, read[0].system(), read[0].answer.as_deref()),
            (1, "Be brief.", Some("Hello"))
        );
        assert_eq!(read[0].fields["label"], 1);
        assert_eq!((read[1].line, read[1].system(), read[1].answer.as_deref()), (3, "", None));
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_quoted() {
        let error = format!("{:#}", read("{\"messages\": [\"secret words\"]}").unwrap_err());
        assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        assert!(read("{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}").is_err());
    }
}
