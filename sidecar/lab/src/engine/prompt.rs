//! Prompts as tokens.

use crate::error::Result;
use crate::files::Conversation;
use personaguard_model::{Engine, Model};
use serde_json::json;

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
    Ok(engine.model().chat_prompt(&conversation.prompt, &Default::default())?)
}
