//! A conversation.

use serde_json::{Map, Value, json};

/// One conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its line in the file, 1-based; in a JSON array or a table, its place. In a folder, the lines
    /// of the files before count too.
    pub line: u64,
    /// The messages before the answer, as chat templates know them.
    pub prompt: Vec<Value>,
    /// Functions that the answer may call.
    pub tools: Vec<Value>,
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
        Self { line, prompt, tools: Vec::new(), answer: None, fields: Map::new() }
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
