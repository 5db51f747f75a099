//! Prompts of `completions`: text or tokens, without turns.

use super::chat::{keep_last, truncation};
use super::loose::{boolean, integer};
use crate::proxy::answer::{MAX_CHOICES, Unreadable};
use personaguard_model::Model;
use serde_json::{Map, Value};

/// One prompt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextPrompt {
    content: TextContent,
    /// Most tokens that are read, from the end.
    keep: Option<usize>,
    /// Whether the token that begins a sequence stands in front (vLLM's `add_special_tokens`).
    begins: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum TextContent {
    Text(String),
    Tokens(Vec<u32>),
}

impl TextPrompt {
    /// Text becomes tokens as servers make it: control tokens are such, and the one that begins a
    /// sequence stands in front where the model wants one.
    pub(super) fn tokens(&self, model: &Model) -> Vec<u32> {
        let tokens = match &self.content {
            TextContent::Text(text) if self.begins => model.tokenizer().encode_prompt(text),
            TextContent::Text(text) => model.tokenizer().encode_with_control(text),
            TextContent::Tokens(tokens) => tokens.clone(),
        };
        keep_last(tokens, self.keep)
    }

    pub(super) fn text(&self, model: &Model) -> String {
        match &self.content {
            TextContent::Text(text) => text.clone(),
            TextContent::Tokens(tokens) => model.tokenizer().decode(tokens),
        }
    }
}

pub(super) fn read(fields: &mut Map<String, Value>) -> Result<Vec<TextPrompt>, Unreadable> {
    for further in ["prompt_embeds", "suffix", "input_extra"] {
        let is_empty = |value: &Value| {
            value.is_null()
                || value.as_str() == Some("")
                || value.as_array().is_some_and(Vec::is_empty)
        };
        if fields.get(further).is_some_and(|value| !is_empty(value)) {
            return Err(Unreadable("its prompt is more than text"));
        }
    }
    let keep = truncation(fields)?;
    let contents = contents(fields.remove("prompt"))?;
    let begins = fields.get("add_special_tokens").and_then(boolean).unwrap_or(true);
    Ok(contents.into_iter().map(|content| TextPrompt { content, keep, begins }).collect())
}

fn contents(value: Option<Value>) -> Result<Vec<TextContent>, Unreadable> {
    let odd = Unreadable("`prompt` is neither text nor tokens");
    let tokens = |values: &[Value]| {
        let token = |value: &Value| match value {
            Value::String(_) => None,
            value => integer(value).and_then(|token| u32::try_from(token).ok()),
        };
        let tokens = values.iter().map(token).collect::<Option<Vec<_>>>();
        tokens.filter(|tokens| !tokens.is_empty()).map(TextContent::Tokens)
    };
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(TextContent::Text(text.clone())),
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
