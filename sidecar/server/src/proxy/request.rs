//! What a request asks a model to write, as far as scoring the response spans it.

use super::path::Api;
use super::payload::{MAX_CHOICES, Unreadable};
use crate::openai::{Content, Part, StringOrList};
use personaguard_model::{ChatOptions, Model};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

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
    /// The field `personaguard`, which is meant for the guard and not for the upstream server.
    pub(super) extension: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Prompt {
    Messages { messages: Vec<Value>, variables: Map<String, Value> },
    Texts(Vec<TextPrompt>),
}

#[derive(Clone, Debug, PartialEq)]
enum TextPrompt {
    Text(String),
    Tokens(Vec<u32>),
}

impl ProxiedRequest {
    /// Reads a body. Fields that are not needed here may hold anything.
    pub(super) fn read(api: Api, body: &[u8]) -> Result<Self, Unreadable> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
            return Err(Unreadable("the body is not a JSON object"));
        };
        let prompt = match api {
            Api::Chat => Prompt::Messages {
                messages: messages(fields.remove("messages"))?,
                variables: variables(&mut fields),
            },
            Api::Text => Prompt::Texts(texts(fields.remove("prompt"))?),
            Api::Foreign => return Err(Unreadable("this API is not OpenAI's chat completions")),
        };
        let extension = fields.remove("personaguard").filter(|value| !value.is_null());
        let n = match fields.get("n") {
            None | Some(Value::Null) => Some(1),
            Some(n) => n
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| (1..=MAX_CHOICES).contains(n)),
        };
        Ok(Self {
            prompt,
            n: n.ok_or(Unreadable("`n` is not a sensible number"))?,
            stream: fields.get("stream").and_then(Value::as_bool).unwrap_or_default(),
            model: fields.get("model").and_then(Value::as_str).map(str::to_owned),
            extension,
        })
    }

    /// The messages, where there are any.
    pub(super) fn messages(&self) -> &[Value] {
        match &self.prompt {
            Prompt::Messages { messages, .. } => messages,
            Prompt::Texts(_) => &[],
        }
    }

    /// Tokens of each prompt. Takes a while for long ones.
    pub(super) fn tokens(&self, model: &Model) -> Result<Vec<Vec<u32>>, Unreadable> {
        match &self.prompt {
            Prompt::Messages { messages, variables } => {
                let options =
                    ChatOptions { variables: variables.clone(), ..ChatOptions::default() };
                let tokens = model.chat_prompt(messages, &options);
                tokens
                    .map(|tokens| vec![tokens])
                    .map_err(|_| Unreadable("the chat template takes no such messages"))
            }
            Prompt::Texts(texts) => {
                let tokens = |text: &TextPrompt| match text {
                    TextPrompt::Text(text) => model.tokenizer().encode(text),
                    TextPrompt::Tokens(tokens) => tokens.clone(),
                };
                Ok(texts.iter().map(tokens).collect())
            }
        }
    }
}

/// A body without the field that is meant for the guard.
pub(super) fn without_extension(body: &[u8]) -> Vec<u8> {
    let fields = serde_json::from_slice::<Map<String, Value>>(body).map(|mut fields| {
        fields.remove("personaguard");
        serde_json::to_vec(&fields)
    });
    fields.ok().and_then(Result::ok).unwrap_or_else(|| body.to_vec())
}

fn messages(value: Option<Value>) -> Result<Vec<Value>, Unreadable> {
    match value {
        Some(Value::Array(messages)) if !messages.is_empty() => {
            messages.into_iter().map(message).collect()
        }
        _ => Err(Unreadable("`messages` is not a list of messages")),
    }
}

/// A message as chat templates know it: text content, `system` for its newer name, all else as it
/// is.
fn message(value: Value) -> Result<Value, Unreadable> {
    let Value::Object(mut fields) = value else {
        return Err(Unreadable("a message is not an object"));
    };
    if fields.get("role").and_then(Value::as_str) == Some("developer") {
        fields.insert("role".to_owned(), json!("system"));
    }
    // Where it stood: a template may list the fields.
    let content = fields.entry("content").or_insert(Value::Null);
    *content = match content.take() {
        // A template would print `none`.
        Value::Null => json!(""),
        content => {
            let content = Content::deserialize(content)
                .map_err(|_| Unreadable("the content of a message is not text"))?;
            text(content)?.into()
        }
    };
    Ok(Value::Object(fields))
}

fn text(content: Content) -> Result<String, Unreadable> {
    let parts = match content {
        StringOrList::String(text) => return Ok(text),
        StringOrList::List(parts) => parts,
    };
    let text = |part: Part| match part.kind.as_deref() {
        Some("text" | "input_text" | "output_text") => part.text,
        Some("refusal") => part.refusal,
        _ => None,
    };
    let texts = parts.into_iter().map(text).collect::<Option<String>>();
    texts.ok_or(Unreadable("a part of a message is not text"))
}

/// What templates are given besides the messages.
fn variables(fields: &mut Map<String, Value>) -> Map<String, Value> {
    let mut variables = match fields.remove("chat_template_kwargs") {
        Some(Value::Object(variables)) => variables,
        _ => Map::new(),
    };
    if let Some(tools @ Value::Array(_)) = fields.remove("tools") {
        variables.insert("tools".to_owned(), tools);
    }
    for reserved in ["messages", "add_generation_prompt", "bos_token", "eos_token"] {
        variables.remove(reserved);
    }
    variables
}

fn texts(value: Option<Value>) -> Result<Vec<TextPrompt>, Unreadable> {
    let odd = Unreadable("`prompt` is neither text nor tokens");
    let tokens = |values: &[Value]| {
        let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
        values
            .iter()
            .map(token)
            .collect::<Option<Vec<_>>>()
            .filter(|tokens| !tokens.is_empty())
            .map(TextPrompt::Tokens)
    };
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(TextPrompt::Text(text.clone())),
        Value::Array(values) => tokens(values),
        _ => None,
    };
    let Some(value) = value else { return Err(odd) };
    if let Some(one) = text(&value) {
        return Ok(vec![one]);
    }
    match value {
        Value::Array(values) if !values.is_empty() && values.len() <= MAX_CHOICES => {
            values.iter().map(text).collect::<Option<_>>().ok_or(odd)
        }
        _ => Err(odd),
    }
}

#[cfg(test)]
mod tests;
