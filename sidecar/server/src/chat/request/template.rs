//! What the chat template is given besides messages and tools.

use crate::http::ApiError;
use crate::openai::typed;
use personaguard_model::ChatOptions;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Variables that are the server's own.
const RESERVED: [&str; 7] = [
    "messages",
    "tools",
    "add_generation_prompt",
    "continue_final_message",
    "bos_token",
    "eos_token",
    "chat_template",
];

/// Fields that a template may read, by the names that servers have for them.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
struct TemplateFields {
    chat_template_kwargs: Option<Map<String, Value>>,
    documents: Option<Vec<Value>>,
    reasoning_effort: Option<String>,
    verbosity: Option<String>,
    /// OpenRouter's and SGLang's.
    reasoning: Option<ReasoningFields>,
    enable_thinking: Option<bool>,
    /// Ollama's: yes or no, or how much.
    think: Option<Value>,
    /// Anthropic's, DeepSeek's and GLM's: `{"type": "enabled"}`.
    thinking: Option<Value>,
    add_generation_prompt: Option<bool>,
    continue_final_message: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object")]
struct ReasoningFields {
    effort: Option<String>,
    enabled: Option<bool>,
}

/// Their names.
const FIELDS: [&str; 10] = [
    "chat_template_kwargs",
    "documents",
    "reasoning_effort",
    "verbosity",
    "reasoning",
    "enable_thinking",
    "think",
    "thinking",
    "add_generation_prompt",
    "continue_final_message",
];

/// Reads these fields.
pub(super) fn read(fields: &mut Map<String, Value>) -> Result<ChatOptions, ApiError> {
    let own = FIELDS.iter().filter_map(|field| fields.remove_entry(*field)).collect();
    let fields: TemplateFields = typed(own)?;
    let continue_final_message = fields.continue_final_message.unwrap_or(false);
    Ok(ChatOptions {
        add_generation_prompt: fields.add_generation_prompt.unwrap_or(true)
            && !continue_final_message,
        continue_final_message,
        variables: fields.variables(),
    })
}

impl TemplateFields {
    fn variables(self) -> Map<String, Value> {
        let reasoning = self.reasoning.unwrap_or_default();
        let level = |value: &Option<Value>| Some(value.as_ref()?.as_str()?.to_owned());
        let effort = self.reasoning_effort.or(reasoning.effort).or_else(|| level(&self.think));
        let thinks = self
            .enable_thinking
            .or(reasoning.enabled)
            .or_else(|| self.think.as_ref().and_then(thinks))
            .or_else(|| self.thinking.as_ref().and_then(thinks))
            .or_else(|| (effort.as_deref() == Some("none")).then_some(false));
        let mut variables = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                variables.insert(name.to_owned(), value);
            }
        };
        set("documents", self.documents.map(Value::from));
        set("reasoning_effort", effort.map(Value::from));
        set("verbosity", self.verbosity.map(Value::from));
        // Templates know it by one name or the other.
        set("enable_thinking", thinks.map(Value::from));
        set("thinking", thinks.map(Value::from));
        // What is said to the template itself counts before what means the same.
        variables.extend(self.chat_template_kwargs.unwrap_or_default());
        variables.retain(|name, _| !RESERVED.contains(&name.as_str()));
        variables
    }
}

/// Whether a model is to think before it answers, as `think` and `thinking` say it.
fn thinks(value: &Value) -> Option<bool> {
    match value.get("type").unwrap_or(value) {
        Value::Bool(thinks) => Some(*thinks),
        Value::String(how) => match how.as_str() {
            "disabled" | "none" | "off" => Some(false),
            "enabled" | "low" | "medium" | "high" => Some(true),
            _ => None,
        },
        _ => None,
    }
}
