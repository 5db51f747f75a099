//! Prompts of `chat/completions`, and what the other chat APIs come down to.

use super::exact_names;
use super::loose::{boolean, integer};
use crate::openai::{Content, Part, PartKind, StringOrList};
use crate::proxy::answer::Unreadable;
use personaguard_model::{ChatOptions, Model};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

/// A conversation to be rendered by the model's chat template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatPrompt {
    pub(super) messages: Vec<Value>,
    pub(super) variables: Map<String, Value>,
    pub(super) add_generation_prompt: bool,
    pub(super) continue_final_message: bool,
    /// Most tokens that are read, from the end.
    pub(super) keep: Option<usize>,
}

impl ChatPrompt {
    /// These messages, to be answered.
    pub(super) fn new(messages: Vec<Value>, tools: Vec<Value>) -> Self {
        let mut variables = Map::new();
        if !tools.is_empty() {
            variables.insert("tools".to_owned(), tools.into());
        }
        Self {
            messages,
            variables,
            add_generation_prompt: true,
            continue_final_message: false,
            keep: None,
        }
    }

    /// What vLLM repeats before its answer where it is asked to (`echo`): the last message, if it
    /// is one of the role that answers.
    pub(super) fn repeated(&self) -> &str {
        let last = self.messages.last();
        let text = |field: &str| last.and_then(|last| last[field].as_str()).unwrap_or_default();
        match self.add_generation_prompt && text("role") != "assistant" {
            true => "",
            false => text("content"),
        }
    }

    pub(super) fn tokens(&self, model: &Model) -> Result<Vec<u32>, Unreadable> {
        let options = ChatOptions {
            variables: self.variables.clone(),
            add_generation_prompt: self.add_generation_prompt,
            continue_final_message: self.continue_final_message,
        };
        let tokens = model.chat_prompt(&self.messages, &options);
        let tokens = tokens.map_err(|_| Unreadable("the chat template takes no such messages"))?;
        Ok(keep_last(tokens, self.keep))
    }
}

/// The last tokens of a prompt that its server was told to truncate.
pub(super) fn keep_last(mut tokens: Vec<u32>, keep: Option<usize>) -> Vec<u32> {
    let cut = tokens.len().saturating_sub(keep.unwrap_or(usize::MAX));
    tokens.split_off(cut)
}

/// The field `truncate_prompt_tokens`; -1, for the model's context, changes nothing here.
pub(super) fn truncation(fields: &Map<String, Value>) -> Result<Option<usize>, Unreadable> {
    match fields.get("truncate_prompt_tokens") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match integer(value) {
            Some(-1) => Ok(None),
            Some(most) if most > 0 => Ok(usize::try_from(most).ok()),
            _ => Err(Unreadable("`truncate_prompt_tokens` is not a number of tokens")),
        },
    }
}

pub(super) fn read(fields: &mut Map<String, Value>) -> Result<ChatPrompt, Unreadable> {
    for brought in ["chat_template", "prompt_embeds"] {
        if fields.get(brought).is_some_and(|value| !value.is_null()) {
            return Err(Unreadable("it brings a prompt or a template of its own"));
        }
    }
    let messages = match fields.remove("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => {
            messages.into_iter().map(message).collect::<Result<_, _>>()?
        }
        _ => return Err(Unreadable("`messages` is not a list of messages")),
    };
    let flag = |field: &str, default| fields.get(field).and_then(boolean).unwrap_or(default);
    let continue_final_message = flag("continue_final_message", false);
    Ok(ChatPrompt {
        messages,
        add_generation_prompt: flag("add_generation_prompt", true) && !continue_final_message,
        continue_final_message,
        keep: truncation(fields)?,
        variables: variables(fields),
    })
}

/// A message as chat templates know it: text content, `system` for its newer name, arguments of
/// calls as objects, all else as it is.
pub(super) fn message(value: Value) -> Result<Value, Unreadable> {
    let Value::Object(mut fields) = value else {
        return Err(Unreadable("a message is not an object"));
    };
    exact_names(&fields, &["role", "content", "tool_calls"])?;
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
    if let Some(Value::Array(calls)) = fields.get_mut("tool_calls") {
        for arguments in calls.iter_mut().filter_map(|call| call.pointer_mut("/function/arguments"))
        {
            *arguments = crate::openai::arguments(arguments.take());
        }
    }
    Ok(Value::Object(fields))
}

/// The parts of a message as one text, a part a line, as vLLM and llama.cpp join them.
fn text(content: Content) -> Result<String, Unreadable> {
    let parts = match content {
        StringOrList::String(text) => return Ok(text),
        StringOrList::List(parts) => parts,
    };
    let text = |part: Part| match part.into_kind() {
        PartKind::Text(text) => Some(text),
        // Servers differ in whether they show it to the model.
        PartKind::Reasoning | PartKind::Empty | PartKind::Other => None,
    };
    let texts = parts.into_iter().map(text).collect::<Option<Vec<_>>>();
    Ok(texts.ok_or(Unreadable("a part of a message is not text"))?.join("\n"))
}

/// What templates are given besides the messages.
fn variables(fields: &mut Map<String, Value>) -> Map<String, Value> {
    let mut variables = match fields.remove("chat_template_kwargs") {
        Some(Value::Object(variables)) => variables,
        _ => Map::new(),
    };
    for list in ["tools", "documents"] {
        if let Some(value @ Value::Array(_)) = fields.remove(list) {
            variables.insert(list.to_owned(), value);
        }
    }
    if let Some(effort @ Value::String(_)) = fields.remove("reasoning_effort") {
        variables.insert("reasoning_effort".to_owned(), effort);
    }
    for reserved in ["messages", "add_generation_prompt", "bos_token", "eos_token"] {
        variables.remove(reserved);
    }
    variables
}
