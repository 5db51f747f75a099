//! `POST /tokenize` and `POST /detokenize`, as in vLLM.

use super::models;
use super::prompt;
use super::request::ChatRequest;
use super::start::Incoming;
use crate::http::ApiError;
use crate::openai::{Integer, invalid, missing, object, typed};
use crate::runtime::ActiveModel;
use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The fields of a text, or of tokens. Messages have those of a chat.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Fields {
    model: Option<String>,
    prompt: Option<String>,
    add_special_tokens: Option<bool>,
    return_token_strs: Option<bool>,
    tokens: Option<Vec<Integer>>,
}

/// The answer to `/tokenize`.
#[derive(Debug, Serialize)]
pub(super) struct Tokens {
    count: usize,
    /// Tokens that prompt and response may have together.
    max_model_len: usize,
    tokens: Vec<u32>,
    token_strs: Option<Vec<String>>,
}

/// The answer to `/detokenize`.
#[derive(Debug, Serialize)]
pub(super) struct Text {
    prompt: String,
}

/// Tokens of a text, or of messages as the model's chat template renders them.
pub(super) async fn tokenize(incoming: Incoming) -> Result<Json<Tokens>, ApiError> {
    let (active, mut body) = read(incoming).await?;
    let is_chat = body.contains_key("messages");
    let fields: Fields = typed(text_fields(&body))?;
    check_model(&active, fields.model)?;
    let model = Arc::clone(active.engine.model());
    let tokens = if is_chat {
        body.insert("model".to_owned(), json!(active.name));
        prompt::tokens(&model, &ChatRequest::from_fields(body)?).await?
    } else {
        let text = fields.prompt.ok_or_else(|| missing("prompt"))?;
        let begins = fields.add_special_tokens.unwrap_or(true);
        let model = Arc::clone(&model);
        blocking(move || match begins {
            true => model.tokenizer().encode_prompt(&text),
            false => model.tokenizer().encode_with_control(&text),
        })
        .await?
    };
    let text_of = |token: &u32| model.tokenizer().decode_with_control(&[*token]);
    let is_spelt = fields.return_token_strs.unwrap_or(false);
    let token_strs = is_spelt.then(|| tokens.iter().map(text_of).collect());
    let max_model_len = model.context_length();
    Ok(Json(Tokens { count: tokens.len(), max_model_len, tokens, token_strs }))
}

/// The text of tokens, control tokens included.
pub(super) async fn detokenize(incoming: Incoming) -> Result<Json<Text>, ApiError> {
    let (active, body) = read(incoming).await?;
    let fields: Fields = typed(text_fields(&body))?;
    check_model(&active, fields.model)?;
    let model = Arc::clone(active.engine.model());
    let tokens = fields.tokens.ok_or_else(|| missing("tokens"))?;
    let known = |token: &Integer| {
        u32::try_from(token.get()).ok().filter(|token| (*token as usize) < model.vocab_size())
    };
    let tokens: Option<Vec<u32>> = tokens.iter().map(known).collect();
    let tokens = tokens.ok_or_else(|| {
        let message = "Invalid 'tokens': must be numbers of tokens that the model has.";
        invalid("tokens", message)
    })?;
    let prompt = blocking(move || model.tokenizer().decode_with_control(&tokens)).await?;
    Ok(Json(Text { prompt }))
}

async fn read(incoming: Incoming) -> Result<(Arc<ActiveModel>, Map<String, Value>), ApiError> {
    let (active, body) = incoming.body().await?;
    Ok((active, object(&body)?))
}

/// The body's fields but for a conversation, which may be long.
fn text_fields(body: &Map<String, Value>) -> Map<String, Value> {
    let fields = body.iter().filter(|(name, _)| *name != "messages");
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The model need not be named: there is one only.
fn check_model(active: &ActiveModel, asked: Option<String>) -> Result<(), ApiError> {
    asked.map_or(Ok(()), |asked| models::check(active, &asked))
}

/// A long text takes a while.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::internal("The text could not be read."))
}
