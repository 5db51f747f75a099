//! The grammar of tool calls: names of functions that exist, and arguments that fit their schemas.

use super::error::GrammarError;
use super::schema::prepare;
use super::schema_size;
use crate::chat::{TOOL_CALL_END, TOOL_CALL_START, ToolCallFormat};
use serde_json::Value;
use std::fmt::Write as _;

/// A function that a response may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Callable {
    /// Letters, digits, dashes and underscores.
    pub name: String,
    /// What its arguments must fit: a JSON Schema of an object.
    pub arguments: Value,
}

/// Whether a response must be tool calls.
#[derive(Clone, Debug, PartialEq)]
pub enum CallMode {
    /// It is at least one call, and nothing else.
    Required,
    /// It may be text, calls, or calls with text before, between and after them.
    Optional,
    /// It is calls, or JSON that fits this schema.
    OrJson(Value),
}

/// The grammar's source, in llguidance's dialect of Lark.
pub(super) fn source(
    format: ToolCallFormat,
    functions: &[Callable],
    mode: &CallMode,
    max_calls: usize,
) -> Result<String, GrammarError> {
    let arguments_key = match format {
        ToolCallFormat::Hermes => "arguments",
        ToolCallFormat::Llama3 => "parameters",
    };
    let answer = match mode {
        CallMode::OrJson(schema) => Some(schema),
        CallMode::Required | CallMode::Optional => None,
    };
    schema_size::check(functions.iter().map(|function| &function.arguments).chain(answer))?;
    let mut objects = Vec::with_capacity(functions.len());
    for Callable { name, arguments } in functions {
        let start = quoted(&format!(r#"{{"name": "{name}", "{arguments_key}": "#));
        // Each schema stays a separate document, so that its references resolve within it.
        objects.push(format!(r#"{start} %json {} "}}""#, prepare(arguments)?));
    }
    let mut lark = format!("object: {}\n", objects.join(" | "));
    let (calls, text) = match format {
        ToolCallFormat::Llama3 => ("object".to_owned(), "calls | OTHER?"),
        ToolCallFormat::Hermes => {
            let start = quoted(&format!("{TOOL_CALL_START}\n"));
            let end = quoted(&format!("\n{TOOL_CALL_END}"));
            let _ = writeln!(lark, "call: {start} object {end}");
            let _ = writeln!(lark, "head[lazy]: TEXT {}", quoted(TOOL_CALL_START));
            let _ = writeln!(lark, r#"tagged: head "\n" object {end}"#);
            let calls = match max_calls.saturating_sub(1) {
                0 => "call".to_owned(),
                further => format!(r#"call ("\n" call){{0,{further}}}"#),
            };
            (calls, "tagged* TEXT")
        }
    };
    let _ = writeln!(lark, "calls: {calls}");
    match mode {
        CallMode::Required => lark.push_str("start: calls\n"),
        CallMode::Optional => {
            let _ = writeln!(lark, "start: {text}");
        }
        CallMode::OrJson(schema) => {
            let _ = writeln!(lark, "start: calls | answer\nanswer: %json {}", prepare(schema)?);
        }
    }
    // Any text, and text that is not a call of Llama 3's.
    lark.push_str("TEXT: /(.|\\n)*/\nOTHER: /\\s*[^{\\s](.|\\n)*/\n");
    Ok(lark)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
