//! The body of a chat completion request: read field by field, so that each error names its field.

mod extension;
pub(super) mod fields;
mod messages;
pub(super) mod tools;

use super::choices::MAX_CHOICES;
use super::error::ApiError;
use super::format::{self, Format};
use axum::http::StatusCode;
pub(super) use extension::Extension;
pub(crate) use extension::demands_of;
use fields::{Fields, missing, unsupported, wrong_type};
use personaguard_guard::Demands;
use personaguard_model::Sampling;
use serde_json::{Value, json};
use tools::Tools;

/// A chat completion request that makes sense; whether it fits the model is told later.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    /// As chat templates know them: text content, calls with their arguments as objects.
    pub(super) messages: Vec<Value>,
    /// What the answer may call, if anything.
    pub(super) tools: Option<Tools>,
    /// Choices, at least 1.
    pub(super) n: usize,
    /// Most tokens of each; none: what the context has left.
    pub(super) max_tokens: Option<usize>,
    pub(super) sampling: Sampling,
    pub(super) stop: Vec<String>,
    /// What the answer must look like, if not just text.
    pub(super) format: Option<Format>,
    /// Alternatives for each token, where log probabilities are asked for.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: bool,
    /// In a stream: whether a last chunk brings the usage.
    pub(super) include_usage: bool,
    pub(super) extension: Extension,
    pub(super) demands: Demands,
}

/// Stop strings of a request at most, as in OpenAI's API.
const MAX_STOPS: usize = 4;
/// Longest stop string in bytes.
const MAX_STOP_BYTES: usize = 1024;

/// Fields that change nothing here.
const IGNORED: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
];
/// Fields of OpenAI's API that would change the answer, and are not supported.
const UNSUPPORTED: [&str; 8] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
];

impl ChatRequest {
    /// Whether calls of functions are offered, or in the conversation.
    pub(super) fn has_calls(&self) -> bool {
        self.tools.is_some()
            || self.messages.iter().any(|message| message.get("tool_calls").is_some())
    }

    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let message = format!("The body is not valid UTF-8: see byte {}.", error.valid_up_to());
            ApiError::body(StatusCode::BAD_REQUEST, "invalid_utf8", message)
        })?;
        let value = serde_json::from_str(text).map_err(|error| {
            let message = format!(
                "The body is not valid JSON: see line {}, column {}.",
                error.line(),
                error.column()
            );
            ApiError::body(StatusCode::BAD_REQUEST, "invalid_json", message)
        })?;
        let Value::Object(map) = value else {
            return Err(ApiError::body(
                StatusCode::BAD_REQUEST,
                "invalid_json",
                "The body is not a JSON object.",
            ));
        };
        Self::read(Fields::new(map, ""))
    }

    fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let model = fields.text("model")?.ok_or_else(|| missing("model"))?;
        let messages =
            messages::messages(fields.take("messages").ok_or_else(|| missing("messages"))?)?;
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let (extension, demands) = extension::extension(&mut fields)?;
        let request = Self {
            model,
            messages,
            tools: tools::read(&mut fields)?,
            n: choices(&mut fields)?,
            max_tokens: max_tokens(&mut fields)?,
            sampling: sampling(&mut fields)?,
            stop: stop(&mut fields)?,
            format: format::read(&mut fields)?,
            logprobs: logprobs(&mut fields)?,
            stream,
            include_usage: include_usage(&mut fields, stream)?,
            extension,
            demands,
        };
        refuse_the_rest(fields)?;
        Ok(request)
    }
}

fn choices(fields: &mut Fields) -> Result<usize, ApiError> {
    let n = fields.integer("n", 1..=MAX_CHOICES)?.unwrap_or(1);
    // Within the bounds.
    Ok(usize::try_from(n).unwrap_or(1))
}

fn max_tokens(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let old = fields.integer("max_tokens", 1..=i64::MAX)?;
    let new = fields.integer("max_completion_tokens", 1..=i64::MAX)?;
    if old.is_some() && new.is_some() {
        let message = "Give either 'max_tokens' or 'max_completion_tokens', not both.";
        return Err(ApiError::invalid("max_tokens", "invalid_value", message));
    }
    Ok(old.or(new).map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)))
}

fn sampling(fields: &mut Fields) -> Result<Sampling, ApiError> {
    let top_p = fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0);
    let seed = fields.integer("seed", i64::MIN..=i64::MAX)?;
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
        // 0 means the likeliest token alone.
        top_p: top_p.max(f32::MIN_POSITIVE),
        top_k: fields
            .integer("top_k", 1..=i64::MAX)?
            .map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
        presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        seed: seed.map(i64::cast_unsigned),
    })
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let stops = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(values)) => {
            let text = |value| match value {
                Value::String(stop) => Ok(stop),
                other => {
                    Err(wrong_type("stop".to_owned(), "a string or an array of strings", &other))
                }
            };
            values.into_iter().map(text).collect::<Result<_, _>>()?
        }
        Some(other) => {
            return Err(wrong_type("stop".to_owned(), "a string or an array of strings", &other));
        }
    };
    if stops.len() > MAX_STOPS
        || stops.iter().any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
    {
        let message = format!(
            "Invalid 'stop': at most {MAX_STOPS} strings, none empty or longer than {MAX_STOP_BYTES} bytes."
        );
        return Err(ApiError::invalid("stop", "invalid_value", message));
    }
    Ok(stops)
}

fn logprobs(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.integer("top_logprobs", 0..=20)?;
    if top.is_some() && !wanted {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(ApiError::invalid("top_logprobs", "invalid_value", message));
    }
    Ok(wanted.then(|| top.and_then(|top| usize::try_from(top).ok()).unwrap_or(0)))
}

fn include_usage(fields: &mut Fields, stream: bool) -> Result<bool, ApiError> {
    let Some(mut options) = fields.object("stream_options")? else { return Ok(false) };
    if !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(ApiError::invalid("stream_options", "invalid_value", message));
    }
    let include = options.boolean("include_usage")?.unwrap_or(false);
    options.boolean("include_obfuscation")?;
    options.done()?;
    Ok(include)
}

/// Refuses what would change the answer but is not supported, and what nobody knows.
fn refuse_the_rest(mut fields: Fields) -> Result<(), ApiError> {
    let text_only = |value: &Value| value == &json!(["text"]);
    if fields.take("modalities").is_some_and(|value| !text_only(&value)) {
        return Err(unsupported("modalities", "Only text is supported by this server."));
    }
    for field in UNSUPPORTED {
        let harmless = |value: &Value| match field {
            "logit_bias" => value == &json!({}),
            "functions" => value == &json!([]),
            "function_call" => value == "none",
            _ => false,
        };
        if fields.take(field).is_some_and(|value| !harmless(&value)) {
            return Err(unsupported(field, &format!("'{field}' is not supported by this server.")));
        }
    }
    for field in IGNORED {
        fields.take(field);
    }
    fields.done()
}

#[cfg(test)]
mod tests;
