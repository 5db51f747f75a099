//! `POST /v1/embeddings`: the mean of the model's own hidden states behind its last norm, over all
//! tokens of a text, of length 1.

use super::models;
use super::request::token_numbers;
use super::start::Incoming;
use super::submit::submit_error;
use super::tokenize::blocking;
use crate::http::ApiError;
use crate::openai::{Usage, invalid, missing, object, typed, unsupported};
use crate::runtime::ActiveModel;
use axum::Json;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use personaguard_model::{Capture, ScoreError, ScoreRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Texts of a request at most, as in OpenAI's API.
const MAX_INPUTS: usize = 2048;

/// The fields that mean something here; `user` and others change nothing.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Fields {
    model: String,
    input: Option<Value>,
    #[serde(default)]
    encoding_format: EncodingFormat,
    dimensions: Option<usize>,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncodingFormat {
    #[default]
    Float,
    /// Of 32-bit numbers, the least significant byte first: what OpenAI's Python client asks for.
    Base64,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Embeddings {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

/// The embedding of one text.
#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

/// A text, or its tokens.
enum Input {
    Text(String),
    Tokens(Vec<u32>),
}

pub(super) async fn embeddings(incoming: Incoming) -> Result<Json<Embeddings>, ApiError> {
    let (active, body) = incoming.body().await?;
    let fields: Fields = typed(object(&body)?)?;
    models::check(&active, &fields.model)?;
    let width = active.engine.model().hidden_size();
    if fields.dimensions.is_some_and(|dimensions| dimensions != width) {
        let message = format!("This model's embeddings have {width} dimensions: leave it out.");
        return Err(unsupported("dimensions", &message));
    }
    let inputs = inputs(fields.input.ok_or_else(|| missing("input"))?)?;
    let (mut data, mut tokens) = (Vec::new(), 0);
    for (index, input) in inputs.into_iter().enumerate() {
        let prompt = input.tokens(&active).await?;
        tokens += prompt.len();
        let values = embed(&active, prompt).await?;
        let embedding = match fields.encoding_format {
            EncodingFormat::Float => Vector::Float(values),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(BASE64_STANDARD.encode(bytes))
            }
        };
        data.push(Embedding { object: "embedding", index, embedding });
    }
    let usage = Usage::new(tokens, 0);
    Ok(Json(Embeddings { object: "list", data, model: active.name.clone(), usage }))
}

/// One text or the tokens of one, or several of either.
fn inputs(input: Value) -> Result<Vec<Input>, ApiError> {
    let odd = || {
        let message = format!(
            "Invalid 'input': must be a text or the tokens of one, none empty, or up to \
             {MAX_INPUTS} of them."
        );
        invalid("input", message)
    };
    let several = match input {
        Value::Array(items) if items.iter().any(|item| !item.is_number()) => items,
        one => vec![one],
    };
    if several.len() > MAX_INPUTS {
        return Err(odd());
    }
    several.into_iter().map(|input| one(input).ok_or_else(odd)).collect()
}

fn one(input: Value) -> Option<Input> {
    match input {
        Value::String(text) if !text.is_empty() => Some(Input::Text(text)),
        Value::Array(tokens) if !tokens.is_empty() => token_numbers(&tokens).map(Input::Tokens),
        _ => None,
    }
}

impl Input {
    async fn tokens(self, active: &ActiveModel) -> Result<Vec<u32>, ApiError> {
        let text = match self {
            Self::Tokens(tokens) => return Ok(tokens),
            Self::Text(text) => text,
        };
        let model = Arc::clone(active.engine.model());
        blocking(move || model.tokenizer().encode_prompt(&text)).await
    }
}

async fn embed(active: &ActiveModel, prompt: Vec<u32>) -> Result<Vec<f32>, ApiError> {
    let request = ScoreRequest {
        prompt,
        capture: Capture::PromptAndResponse,
        skip_logprobs: true,
        ..ScoreRequest::default()
    };
    let failed = || ApiError::internal("The model's states could not be computed.");
    let score = active.engine.score(request).await.map_err(|error| match error {
        ScoreError::Submit(error) => submit_error(&error),
        ScoreError::Engine(_) => failed(),
    })?;
    let mean = score.states.map(|states| states.prompt_normed).ok_or_else(failed)?;
    let norm = mean.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Ok(mean);
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 1")]
    Ok(mean.iter().map(|value| (f64::from(*value) / norm) as f32).collect())
}
