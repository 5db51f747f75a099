//! What a request asks a model to write, as far as scoring the response spans it. Read as laxly as
//! the servers behind the proxy read it: what they take, a client could otherwise use to go
//! unscored.

mod chat;
mod completions;
mod linked;
mod loose;
mod messages;
mod responses;

use super::answer::{MAX_CHOICES, Unreadable};
use super::path::Api;
use crate::openai::lenient;
use bytes::Bytes;
pub(super) use linked::LinkedRequest;

use chat::ChatPrompt;
use completions::TextPrompt;
use loose::{boolean, integer};
use personaguard_model::Model;
use serde_json::{Map, Value};

/// A request that can be scored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProxiedRequest {
    prompt: Prompt,
    /// Choices for each prompt.
    pub(super) n: usize,
    /// Whether it asks for a stream.
    pub(super) stream: bool,
    /// The model by the name that the client has for it.
    pub(super) model: Option<String>,
    /// Whether the response repeats the prompt before what the model writes.
    pub(super) echo: bool,
    /// The field `personaguard`, which is meant for the guard and not for the upstream server.
    pub(super) extension: Option<Value>,
    /// The body as it was read, without that field: what is scored and what the upstream server
    /// reads are the same.
    pub(super) body: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
enum Prompt {
    Chat(ChatPrompt),
    Texts(Vec<TextPrompt>),
}

/// Fields whose values decide what is scored. One that is spelt otherwise in its capitals would be
/// taken for them by some servers.
const FIELDS: [&str; 22] = [
    "messages",
    "prompt",
    "input",
    "instructions",
    "system",
    "n",
    "stream",
    "model",
    "tools",
    "echo",
    "documents",
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "suffix",
    "continue_final_message",
    "prompt_embeds",
    "previous_response_id",
    "conversation",
    "truncate_prompt_tokens",
    "input_extra",
    "add_special_tokens",
];

impl ProxiedRequest {
    /// Reads a body. Fields that are not needed here may hold anything.
    pub(super) fn read(api: Api, body: &[u8]) -> Result<Self, Unreadable> {
        let value = lenient(body).map_err(|not_json| Unreadable(not_json.0))?;
        let Value::Object(mut fields) = value else {
            return Err(Unreadable("the body is not a JSON object"));
        };
        exact_names(&fields, &FIELDS)?;
        let extension = fields.remove("personaguard").filter(|value| !value.is_null());
        let body = Bytes::from(serde_json::to_vec(&fields).unwrap_or_default());
        let n = match fields.get("n") {
            None | Some(Value::Null) => Some(1),
            Some(n) => integer(n)
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| (1..=MAX_CHOICES).contains(n)),
        };
        let is_set = |field: &str| fields.get(field).and_then(boolean).unwrap_or_default();
        let repeats = matches!(api, Api::Completions | Api::Chat);
        let (stream, echo) = (is_set("stream"), repeats && is_set("echo"));
        let model = fields.get("model").and_then(Value::as_str).map(str::to_owned);
        let prompt = match api {
            Api::Chat => Prompt::Chat(chat::read(&mut fields)?),
            Api::Responses => Prompt::Chat(responses::read(&mut fields)?),
            Api::Messages => Prompt::Chat(messages::read(&mut fields)?),
            Api::Completions => Prompt::Texts(completions::read(&mut fields)?),
        };
        let n = n.ok_or(Unreadable("`n` is not a number from 1 to 128"))?;
        Ok(Self { prompt, n, stream, model, echo, extension, body })
    }

    /// Has the server give the tokens of what it writes. They stay here.
    pub(super) fn ask_for_tokens(&mut self) {
        // Behind the other fields of the object: the last of one name counts.
        let end = self.body.len().saturating_sub(1);
        let field: &[u8] = b",\"return_token_ids\":true}";
        self.body = [&self.body[..end], field].concat().into();
    }

    /// What it says is no longer needed. As values it takes many times the memory of its text, and
    /// an answer may take minutes.
    pub(super) fn forget_text(&mut self) {
        self.prompt = Prompt::Texts(Vec::new());
        self.body = Bytes::new();
    }

    /// The messages, where there are any.
    pub(super) fn messages(&self) -> &[Value] {
        match &self.prompt {
            Prompt::Chat(prompt) => &prompt.messages,
            Prompt::Texts(_) => &[],
        }
    }

    /// Tokens of each prompt. Takes a while for long ones.
    pub(super) fn tokens(&self, model: &Model) -> Result<Vec<Vec<u32>>, Unreadable> {
        match &self.prompt {
            Prompt::Chat(prompt) => prompt.tokens(model).map(|tokens| vec![tokens]),
            Prompt::Texts(texts) => Ok(texts.iter().map(|text| text.tokens(model)).collect()),
        }
    }

    /// What the response repeats before each choice, where it was asked to: the text of each
    /// prompt, of a conversation the last message that it continues.
    pub(super) fn echoes(&self, model: &Model) -> Vec<String> {
        match &self.prompt {
            Prompt::Texts(texts) if self.echo => {
                texts.iter().map(|text| text.text(model)).collect()
            }
            Prompt::Chat(prompt) if self.echo => vec![prompt.repeated().to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Refuses fields that differ from those that are read in capitals only, also in the two letters
/// outside of ASCII that are such for some readers (ſ, and the sign of the kelvin).
fn exact_names(fields: &Map<String, Value>, names: &[&str]) -> Result<(), Unreadable> {
    let folded = |field: &str| -> String {
        field.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
    };
    let is_odd = |field: &String| {
        let plain = folded(field);
        names.iter().any(|name| field != name && plain == *name)
    };
    match fields.keys().any(is_odd) {
        true => Err(Unreadable("the name of a field has other capitals than the API's")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
