//! The body of a chat completion request: read field by field, so that each error names its field.

use super::error::ApiError;
use super::format::{self, Format};
use crate::guard::{Demand, Demands};
use axum::http::StatusCode;
use personaguard_crds::Coefficient;
use personaguard_model::Sampling;
use serde_json::{Map, Value, json};

/// A chat completion request that makes sense; whether it fits the model is told later.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    /// `{"role", "content"}`, with text content and the roles that chat templates know.
    pub(super) messages: Vec<Value>,
    /// Most tokens of the answer; none: what the context has left.
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

/// The field `personaguard` of a request: what to tell about the answer's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extension {
    /// Scores of each trait.
    pub(super) scores: bool,
    /// Projections of each token.
    pub(super) tokens: bool,
}

impl Extension {
    pub(super) fn any(self) -> bool {
        self.scores || self.tokens
    }
}

/// Stop strings of a request at most, as in OpenAI's API.
const MAX_STOPS: usize = 4;
/// Longest stop string in bytes.
const MAX_STOP_BYTES: usize = 1024;

/// Traits that a request may ask for more about, at most.
const MAX_DEMANDS: usize = 16;
/// Longest name of a PersonaVector in bytes.
const MAX_VECTOR_NAME: usize = 63;

/// Fields that change nothing here.
const IGNORED: [&str; 9] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "tool_choice",
    "user",
];
/// Fields of OpenAI's API that would change the answer, and are not supported.
const UNSUPPORTED: [&str; 9] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "prediction",
    "reasoning_effort",
    "tools",
    "verbosity",
    "web_search_options",
];

impl ChatRequest {
    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let message = format!("The body is not valid UTF-8: see byte {}.", error.valid_up_to());
            ApiError::body(StatusCode::BAD_REQUEST, "invalid_utf8", message)
        })?;
        let value = serde_json::from_str(text).map_err(|error| {
            let message = format!("The body is not valid JSON: see line {}, column {}.", error.line(), error.column());
            ApiError::body(StatusCode::BAD_REQUEST, "invalid_json", message)
        })?;
        let Value::Object(map) = value else {
            return Err(ApiError::body(StatusCode::BAD_REQUEST, "invalid_json", "The body is not a JSON object."));
        };
        Self::read(Fields { map, path: "" })
    }

    fn read(mut fields: Fields) -> Result<Self, ApiError> {
        fields.map.retain(|_, value| !value.is_null());
        let model = fields.text("model")?.ok_or_else(|| missing("model"))?;
        let messages = messages(fields.take("messages").ok_or_else(|| missing("messages"))?)?;
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let (extension, demands) = extension(&mut fields)?;
        let request = Self {
            model,
            messages,
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

/// A JSON object that is read field by field.
pub(super) struct Fields {
    pub(super) map: Map<String, Value>,
    pub(super) path: &'static str,
}

impl Fields {
    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field)
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(self.name(field), "a string", &other)),
        }
    }

    pub(super) fn boolean(&mut self, field: &str) -> Result<Option<bool>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(self.name(field), "a boolean", &other)),
        }
    }

    fn number(&mut self, field: &str, range: std::ops::RangeInclusive<f64>) -> Result<Option<f32>, ApiError> {
        #[allow(clippy::cast_possible_truncation)]
        Ok(self.double(field, range)?.map(|number| number as f32))
    }

    fn double(&mut self, field: &str, range: std::ops::RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let Some(number) = value.as_f64() else { return Err(wrong_type(self.name(field), "a number", &value)) };
        if !range.contains(&number) {
            let message = format!("Invalid '{field}': must be from {} to {}.", range.start(), range.end());
            return Err(ApiError::invalid(self.name(field), "invalid_value", message));
        }
        Ok(Some(number))
    }

    fn integer(&mut self, field: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        if !(value.is_i64() || value.is_u64()) {
            return Err(wrong_type(self.name(field), "an integer", &value));
        }
        let number = value.as_i64().unwrap_or(i64::MAX);
        if number < *range.start() {
            let message = format!("Invalid '{field}': must be at least {}.", range.start());
            return Err(ApiError::invalid(self.name(field), "integer_below_min_value", message));
        }
        if number > *range.end() {
            let message = format!("Invalid '{field}': must be at most {}.", range.end());
            return Err(ApiError::invalid(self.name(field), "integer_above_max_value", message));
        }
        Ok(Some(number))
    }

    pub(super) fn object(&mut self, field: &'static str) -> Result<Option<Fields>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, path: field })),
            Some(other) => Err(wrong_type(self.name(field), "an object", &other)),
        }
    }

    pub(super) fn done(&self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(field) => {
                let message = format!("Unknown parameter: '{}'.", self.name(field));
                Err(ApiError::invalid(self.name(field), "unknown_parameter", message))
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wrong_type(param: String, expected: &str, found: &Value) -> ApiError {
    let message = format!("Invalid type for '{param}': expected {expected}, but got {} instead.", kind(found));
    ApiError::invalid(param, "invalid_type", message)
}

pub(super) fn missing(param: &str) -> ApiError {
    ApiError::invalid(param, "missing_required_parameter", format!("Missing required parameter: '{param}'."))
}

fn unsupported(param: impl Into<String>, message: &str) -> ApiError {
    ApiError::invalid(param, "unsupported_parameter", message)
}

fn messages(value: Value) -> Result<Vec<Value>, ApiError> {
    let Value::Array(messages) = value else {
        return Err(wrong_type("messages".to_owned(), "an array of objects", &value));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected at least one message.";
        return Err(ApiError::invalid("messages", "empty_array", message));
    }
    messages.into_iter().enumerate().map(|(index, value)| message(index, value)).collect()
}

fn message(index: usize, value: Value) -> Result<Value, ApiError> {
    let at = format!("messages[{index}]");
    let Value::Object(mut fields) = value else { return Err(wrong_type(at, "an object", &value)) };
    fields.retain(|_, value| !value.is_null());
    let role = match fields.remove("role") {
        None => return Err(missing(&format!("{at}.role"))),
        Some(Value::String(role)) => role,
        Some(other) => return Err(wrong_type(format!("{at}.role"), "a string", &other)),
    };
    // Chat templates know `system`; `developer` is its newer name.
    let role = match role.as_str() {
        "developer" | "system" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" | "function" => {
            return Err(unsupported(format!("{at}.role"), "Tools are not supported by this server."));
        }
        _ => {
            let message = format!("Invalid '{at}.role': must be one of system, developer, user and assistant.");
            return Err(ApiError::invalid(format!("{at}.role"), "invalid_value", message));
        }
    };
    let content = content(&at, fields.remove("content"))?;
    fields.remove("name");
    if let Some(field) = fields.keys().next() {
        let (param, message) = (format!("{at}.{field}"), format!("'{at}.{field}' is not supported by this server."));
        return Err(unsupported(param, &message));
    }
    Ok(json!({ "role": role, "content": content }))
}

fn content(at: &str, value: Option<Value>) -> Result<String, ApiError> {
    let param = format!("{at}.content");
    match value {
        None => Err(missing(&param)),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            parts.into_iter().enumerate().map(|(index, part)| text_part(format!("{param}[{index}]"), &part)).collect()
        }
        Some(other) => Err(wrong_type(param, "a string or an array of text parts", &other)),
    }
}

fn text_part(at: String, part: &Value) -> Result<String, ApiError> {
    match (part.get("type").and_then(Value::as_str), part.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (Some("text"), None) | (None, _) => {
            let message = format!("Invalid '{at}': expected {{\"type\": \"text\", \"text\": …}}.");
            Err(ApiError::invalid(at, "invalid_value", message))
        }
        (Some(_), _) => Err(unsupported(at, "Only text is supported by this server: no images, audio or files.")),
    }
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
        top_k: fields.integer("top_k", 1..=i64::MAX)?.map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
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
                other => Err(wrong_type("stop".to_owned(), "a string or an array of strings", &other)),
            };
            values.into_iter().map(text).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong_type("stop".to_owned(), "a string or an array of strings", &other)),
    };
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES) {
        let message =
            format!("Invalid 'stop': at most {MAX_STOPS} strings, none empty or longer than {MAX_STOP_BYTES} bytes.");
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

/// The field `personaguard` of a request to another server, which tells no scores.
pub(crate) fn demands_of(value: Value) -> Result<Demands, ApiError> {
    let map = Map::from_iter([("personaguard".to_owned(), value)]);
    let (asked, demands) = extension(&mut Fields { map, path: "" })?;
    if asked.any() {
        let message = "Scores are told in placement Serve only; here see the audit log and the metrics.";
        return Err(unsupported("personaguard", message));
    }
    Ok(demands)
}

fn extension(fields: &mut Fields) -> Result<(Extension, Demands), ApiError> {
    let Some(mut options) = fields.object("personaguard")? else { return Ok(Default::default()) };
    let scores = options.boolean("scores")?.unwrap_or(false);
    let tokens = options.boolean("tokens")?.unwrap_or(false);
    let demands = match options.take("traits") {
        None => Demands::new(),
        Some(Value::Object(traits)) => demands(traits)?,
        Some(other) => return Err(wrong_type("personaguard.traits".to_owned(), "an object", &other)),
    };
    options.done()?;
    Ok((Extension { scores, tokens }, demands))
}

/// `{"VECTOR": {"block", "max", "min", "coefficient"}}`.
fn demands(traits: Map<String, Value>) -> Result<Demands, ApiError> {
    if traits.len() > MAX_DEMANDS || traits.keys().any(|vector| vector.len() > MAX_VECTOR_NAME) {
        let message = format!(
            "Invalid 'personaguard.traits': at most {MAX_DEMANDS} traits, by the names of their PersonaVectors."
        );
        return Err(ApiError::invalid("personaguard.traits", "invalid_value", message));
    }
    traits.into_iter().map(|(vector, value)| Ok((vector, demand(value)?))).collect()
}

fn demand(value: Value) -> Result<Demand, ApiError> {
    const PATH: &str = "personaguard.traits";
    let Value::Object(mut map) = value else {
        return Err(wrong_type(PATH.to_owned(), "an object for each trait", &value));
    };
    map.retain(|_, value| !value.is_null());
    let mut fields = Fields { map, path: PATH };
    let limit = Coefficient::LIMIT;
    let coefficient = fields.double("coefficient", -limit..=limit)?;
    let demand = Demand {
        block: fields.boolean("block")?.unwrap_or(false),
        max: fields.double("max", f64::MIN..=f64::MAX)?,
        min: fields.double("min", f64::MIN..=f64::MAX)?,
        // Within the limits, see above.
        coefficient: coefficient.and_then(|coefficient| Coefficient::try_from(coefficient).ok()),
    };
    fields.done()?;
    Ok(demand)
}

/// Refuses what would change the answer but is not supported, and what nobody knows.
fn refuse_the_rest(mut fields: Fields) -> Result<(), ApiError> {
    if fields.integer("n", 1..=i64::MAX)?.is_some_and(|n| n != 1) {
        return Err(unsupported("n", "Only one choice is supported by this server: 'n' must be 1."));
    }
    let text_only = |value: &Value| value == &json!(["text"]);
    if fields.take("modalities").is_some_and(|value| !text_only(&value)) {
        return Err(unsupported("modalities", "Only text is supported by this server."));
    }
    for field in UNSUPPORTED {
        let harmless = |value: &Value| match field {
            "logit_bias" => value == &json!({}),
            "tools" | "functions" => value == &json!([]),
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(user|system|text|.{0,6})".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let field = "(role|content|type|text|scores|include_usage|.{0,4})";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(field, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_value_in_any_field_is_read_or_refused(
            field in prop::sample::select(vec![
                "model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream", "stream_options", "logprobs",
                "top_logprobs", "n", "seed", "tools", "modalities", "personaguard", "response_format", "other",
            ]),
            value in json(),
        ) {
            let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
            body[field] = value;
            if let Err(error) = ChatRequest::parse(body.to_string().as_bytes()) {
                prop_assert_eq!(error.status, StatusCode::BAD_REQUEST);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ChatRequest::parse(&bytes).is_err());
        }
    }
}
