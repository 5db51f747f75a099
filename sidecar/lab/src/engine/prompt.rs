//! Prompts as tokens.

use crate::error::{Context as _, Result};
use crate::files::{Conversation, Reading};
use personaguard_model::{Engine, Model};
use serde_json::{Value, json};

/// The prompt of one user message under a system prompt, which may be empty for none.
///
/// # Errors
/// If the model's chat template refuses the messages.
pub(crate) fn single_turn_prompt(model: &Model, system: &str, question: &str) -> Result<Vec<u32>> {
    let user = json!({ "role": "user", "content": question });
    let messages = if system.is_empty() {
        vec![user]
    } else {
        vec![json!({ "role": "system", "content": system }), user]
    };
    Ok(model.chat_prompt(&messages, &Default::default())?)
}

/// The prompt of a conversation: everything before its answer.
///
/// # Errors
/// If the model's chat template refuses the messages.
pub(crate) fn conversation_prompt(
    engine: &Engine,
    conversation: &Conversation,
) -> Result<Vec<u32>> {
    messages_prompt(engine.model(), &conversation.prompt, &conversation.tools)
}

/// The prompt of messages, with the functions that the answer may call.
///
/// # Errors
/// If the model's chat template refuses the messages.
pub(crate) fn messages_prompt(
    model: &Model,
    messages: &[Value],
    tools: &[Value],
) -> Result<Vec<u32>> {
    let calls = |message: &Value| message["role"] == "tool" || message.get("tool_calls").is_some();
    if tools.is_empty() && !messages.iter().any(calls) {
        return Ok(model.chat_prompt(messages, &Default::default())?);
    }
    Ok(model.tool_prompt(messages, tools, &Default::default())?)
}

/// The conversations that the model's chat template accepts and `keep` wants, which is given each
/// one's prompt. With `skip_invalid`, those that the template refuses are counted.
///
/// # Errors
/// If the template refuses one, and such are not to be skipped. The message names the line.
pub(crate) fn keep_accepted(
    engine: &Engine,
    conversations: Vec<Conversation>,
    skip_invalid: bool,
    reading: &mut Reading,
    mut keep: impl FnMut(&Conversation, &[u32]) -> bool,
) -> Result<Vec<Conversation>> {
    let mut accepted = Vec::with_capacity(conversations.len());
    for conversation in conversations {
        match conversation_prompt(engine, &conversation) {
            Ok(prompt) if keep(&conversation, &prompt) => accepted.push(conversation),
            Ok(_) => {}
            Err(_) if skip_invalid => {
                let reason = "the model's chat template refuses its messages";
                reading.skipped.add(conversation.line, reason.to_owned());
            }
            Err(error) => return Err(error).with_context(|| format!("line {}", conversation.line)),
        }
    }
    Ok(accepted)
}
