//! The items of a response that are text: what the model says, and what it thinks before.

use serde_json::{Value, json};

/// What an item of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextItem {
    Message,
    Reasoning,
}

impl TextItem {
    /// The item, with this text. Its id follows from the response's.
    pub(super) fn item(self, response: &str, text: &str) -> Value {
        let (id, content) = (self.id(response), [self.part(text)]);
        match self {
            Self::Message => json!({
                "type": "message", "id": id, "role": "assistant", "status": "completed",
                "content": content,
            }),
            Self::Reasoning => json!({
                "type": "reasoning", "id": id, "summary": [], "status": "completed",
                "content": content,
            }),
        }
    }

    pub(super) fn id(self, response: &str) -> String {
        let prefix = match self {
            Self::Message => "msg_",
            Self::Reasoning => "rs_",
        };
        response.replacen("resp_", prefix, 1)
    }

    /// Its text.
    pub(super) fn part(self, text: &str) -> Value {
        match self {
            Self::Message => json!({ "type": self.kind(), "text": text, "annotations": [] }),
            Self::Reasoning => json!({ "type": self.kind(), "text": text }),
        }
    }

    /// What its text, and events about that, are called.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Message => "output_text",
            Self::Reasoning => "reasoning_text",
        }
    }
}
