//! Prompts as tokens.

use super::lab_engine::LabEngine;
use crate::error::{Context as _, LabError, Result};
use crate::files::{Conversation, Reading};
use serde_json::{Value, json};

/// The prompt of one user message under a system prompt, which may be empty for none.
///
/// # Errors
/// If the model's chat template refuses the messages, or vLLM fails.
pub(crate) async fn single_turn_prompt(
    engine: &LabEngine,
    system: &str,
    question: &str,
) -> Result<Vec<u32>> {
    let user = json!({ "role": "user", "content": question });
    let messages = if system.is_empty() {
        vec![user]
    } else {
        vec![json!({ "role": "system", "content": system }), user]
    };
    messages_prompt(engine, &messages, &[]).await
}

/// The prompt of a conversation: everything before its answer.
///
/// # Errors
/// If the model's chat template refuses the messages, or vLLM fails.
pub(crate) async fn conversation_prompt(
    engine: &LabEngine,
    conversation: &Conversation,
) -> Result<Vec<u32>> {
    messages_prompt(engine, &conversation.prompt, &conversation.tools).await
}

/// The prompt of messages, with the functions that the answer may call.
///
/// # Errors
/// If the model's chat template refuses the messages, or vLLM fails.
pub(crate) async fn messages_prompt(
    engine: &LabEngine,
    messages: &[Value],
    tools: &[Value],
) -> Result<Vec<u32>> {
    let model = match engine {
        LabEngine::Own(engine) => engine.model(),
        LabEngine::Vllm(vllm) => return vllm.prompt(messages, tools).await,
    };
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
/// If the template refuses one, and such are not to be skipped: the message names the line. If vLLM
/// or `keep` fails.
pub(crate) async fn keep_accepted(
    engine: &LabEngine,
    conversations: Vec<Conversation>,
    skip_invalid: bool,
    reading: &mut Reading,
    mut keep: impl AsyncFnMut(&Conversation, &[u32]) -> Result<bool>,
) -> Result<Vec<Conversation>> {
    let mut accepted = Vec::with_capacity(conversations.len());
    for conversation in conversations {
        match conversation_prompt(engine, &conversation).await {
            Ok(prompt) => {
                if keep(&conversation, &prompt).await? {
                    accepted.push(conversation);
                }
            }
            Err(LabError::Template(_) | LabError::Refused(_)) if skip_invalid => {
                let reason = "the model's chat template refuses its messages";
                reading.skipped.add(conversation.line, reason.to_owned());
            }
            Err(error) => return Err(error).with_context(|| format!("line {}", conversation.line)),
        }
    }
    Ok(accepted)
}
