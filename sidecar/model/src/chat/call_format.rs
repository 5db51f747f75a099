//! How a model writes calls of tools.

use serde_json::{Value, json};

/// How a model writes calls of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolCallFormat {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, any number of times and with text
    /// around them, as in Hermes and Qwen.
    Hermes,
    /// The whole response is one `{"name": …, "parameters": {…}}`, as in Llama 3.
    Llama3,
}

/// Starts a call in [`ToolCallFormat::Hermes`].
pub const TOOL_CALL_START: &str = "<tool_call>";
/// Ends a call in [`ToolCallFormat::Hermes`].
pub const TOOL_CALL_END: &str = "</tool_call>";

/// Messages with a call in them, and the tools: rendered, they show how a template writes calls.
pub(super) fn sample_conversation() -> (Value, Value) {
    // Some templates need descriptions of all.
    let parameter = json!({ "type": "integer", "description": "sample_note" });
    let parameters = json!({ "type": "object", "properties": { "sample_key": parameter } });
    let function =
        json!({ "name": "sample_name", "description": "sample_words", "parameters": parameters });
    let call = json!({ "name": "sample_name", "arguments": { "sample_key": 1 } });
    let call = json!({ "id": "sample001", "type": "function", "function": call });
    let messages = json!([
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "", "tool_calls": [call] },
        { "role": "tool", "content": "b", "tool_call_id": "sample001", "name": "sample_name" },
    ]);
    (messages, json!([{ "type": "function", "function": function }]))
}

/// The format in which a template rendered the call of [`sample_conversation`]. `None` where it
/// leaves out the functions, or writes calls in another format.
pub(super) fn detect(rendered: &str) -> Option<ToolCallFormat> {
    const HERMES: &str =
        r#"<tool_call>{"name":"sample_name","arguments":{"sample_key":1}}</tool_call>"#;
    const LLAMA3: &str = r#"{"name":"sample_name","parameters":{"sample_key":1}}"#;
    let dense: String = rendered.split_whitespace().collect();
    if !dense.contains("sample_words") {
        None
    } else if dense.contains(HERMES) {
        Some(ToolCallFormat::Hermes)
    } else if dense.contains(LLAMA3) {
        Some(ToolCallFormat::Llama3)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
