//! From a checked request to the tokens of its prompt.

use super::request::{ChatRequest, TextPrompt};
use crate::http::ApiError;
use axum::http::StatusCode;
use personaguard_model::{ChatOptions, Model, TemplateError};
use std::sync::Arc;

/// Tokens of the prompt.
pub(super) async fn tokens(
    model: &Arc<Model>,
    request: &ChatRequest,
) -> Result<Vec<u32>, ApiError> {
    let model = Arc::clone(model);
    let (messages, text, options) =
        (request.messages.clone(), request.text.clone(), request.options.clone());
    let tools: Vec<_> = request
        .tools
        .iter()
        .flat_map(|tools| &tools.functions)
        .map(|f| f.template.clone())
        .collect();
    // A long conversation takes a while to tokenize.
    let prompt = tokio::task::spawn_blocking(move || match text {
        None => model.tool_prompt(&messages, &tools, &options),
        Some(TextPrompt::Text { text, begins: true }) => Ok(model.tokenizer().encode_prompt(&text)),
        Some(TextPrompt::Text { text, begins: false }) => {
            Ok(model.tokenizer().encode_with_control(&text))
        }
        Some(TextPrompt::Tokens(tokens)) => Ok(tokens),
    });
    let failed = || ApiError::internal("The messages could not be turned into a prompt.");
    let mut prompt = prompt.await.map_err(|_| failed())?.map_err(|error| template_error(&error))?;
    let cut = prompt.len().saturating_sub(request.keep_last.unwrap_or(usize::MAX));
    Ok(prompt.split_off(cut))
}

/// Whether these tokens are what the messages alone make.
pub(super) async fn follows_from_messages(
    model: &Arc<Model>,
    request: &ChatRequest,
    prompt: &[u32],
) -> bool {
    if request.text.is_some() {
        return false;
    }
    let (model, messages) = (Arc::clone(model), request.messages.clone());
    let made =
        tokio::task::spawn_blocking(move || model.chat_prompt(&messages, &ChatOptions::default()));
    matches!(made.await, Ok(Ok(made)) if made == prompt)
}

fn template_error(error: &TemplateError) -> ApiError {
    match error {
        TemplateError::Refused(_) => {
            ApiError::invalid("messages", "invalid_value", error.to_string())
        }
        TemplateError::Missing => {
            ApiError::request(StatusCode::BAD_REQUEST, "no_chat_template", error.to_string())
        }
        TemplateError::Failed(_) => ApiError::internal(error.to_string()),
    }
}
