//! A request to `chat/completions`, checked: what it asks for makes sense. Whether it fits the
//! model is found out later.

mod messages;
mod response_format;
mod responses;
mod sampling;
mod text;
mod tools;
mod unsupported;

pub(super) use response_format::ResponseFormat;
pub(super) use text::TextPrompt;
pub(super) use tools::{Function, ToolChoice, Tools};

use crate::http::ApiError;
use crate::openai::{ChatBody, StopBody, StringOrList, integer, invalid, object, typed};
use crate::session::{ReportOptions, extension};
use personaguard_guard::Overrides;
use personaguard_model::Sampling;
use serde_json::{Map, Value};

/// Choices of one response at most.
const MAX_CHOICES: i64 = 8;
/// Stop strings of a request at most, as in OpenAI's API.
const MAX_STOPS: usize = 4;
/// Longest stop string in bytes.
const MAX_STOP_BYTES: usize = 1024;
/// Alternatives to a token at most, as in OpenAI's API.
const MAX_TOP_LOGPROBS: i64 = 20;

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    /// As chat templates know them: text content, calls with their arguments as objects.
    pub(super) messages: Vec<Value>,
    /// A prompt without turns, in place of messages.
    pub(super) text: Option<TextPrompt>,
    /// What the response may call, if anything.
    pub(super) tools: Option<Tools>,
    /// Choices, at least 1.
    pub(super) n: usize,
    /// Most tokens of each choice; none: what the context has left.
    pub(super) max_tokens: Option<usize>,
    pub(super) sampling: Sampling,
    pub(super) stop: Vec<String>,
    /// What the response must look like, if not just text.
    pub(super) format: Option<ResponseFormat>,
    /// Alternatives to each token, where log probabilities are asked for.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: bool,
    /// In a stream: whether a last chunk brings the usage.
    pub(super) include_usage: bool,
    pub(super) report: ReportOptions,
    pub(super) overrides: Overrides,
}

impl ChatRequest {
    /// Whether calls of functions are offered, or in the conversation.
    pub(super) fn has_calls(&self) -> bool {
        self.tools.is_some()
            || self.messages.iter().any(|message| message.get("tool_calls").is_some())
    }

    /// Reads and checks a body of `chat/completions`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Self::chat(object(body)?)
    }

    /// Reads and checks a body of `completions`.
    pub(super) fn parse_text(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = object(body)?;
        let prompt = text::take(&mut fields)?;
        unsupported::refuse(&mut fields)?;
        let mut request = Self::check(typed(fields)?, Some(prompt))?;
        request.max_tokens = request.max_tokens.or(Some(text::DEFAULT_MAX_TOKENS));
        Ok(request)
    }

    /// Reads and checks a body of `responses`.
    pub(super) fn parse_responses(body: &[u8]) -> Result<Self, ApiError> {
        let fields = responses::as_chat(object(body)?)?;
        Self::chat(fields).map_err(responses::by_its_fields)
    }

    fn chat(mut fields: Map<String, Value>) -> Result<Self, ApiError> {
        unsupported::refuse(&mut fields)?;
        Self::check(typed(fields)?, None)
    }

    fn check(body: ChatBody, text: Option<TextPrompt>) -> Result<Self, ApiError> {
        let (report, overrides) = extension(body.personaguard.clone())?;
        Ok(Self {
            n: count(integer("n", body.n, 1..=MAX_CHOICES)?).unwrap_or(1),
            max_tokens: max_tokens(&body)?,
            sampling: sampling::check(&body)?,
            logprobs: logprobs(&body)?,
            include_usage: include_usage(&body)?,
            model: body.model,
            messages: match text {
                None => messages::check(body.messages)?,
                Some(_) => Vec::new(),
            },
            text,
            tools: tools::check(body.tools, body.tool_choice, body.parallel_tool_calls)?,
            stop: body.stop.map_or(Ok(Vec::new()), stop)?,
            format: body.response_format.map_or(Ok(None), response_format::check)?,
            stream: body.stream,
            report,
            overrides,
        })
    }
}

/// A number that was checked to be at least 0; one that is too large counts as the largest.
fn count(number: Option<i64>) -> Option<usize> {
    number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn max_tokens(body: &ChatBody) -> Result<Option<usize>, ApiError> {
    let old = integer("max_tokens", body.max_tokens, 1..=i64::MAX)?;
    let new = integer("max_completion_tokens", body.max_completion_tokens, 1..=i64::MAX)?;
    if old.is_some() && new.is_some() {
        let message = "Give either 'max_tokens' or 'max_completion_tokens', not both.";
        return Err(invalid("max_tokens", message));
    }
    Ok(count(old.or(new)))
}

fn stop(body: StopBody) -> Result<Vec<String>, ApiError> {
    let stops = match body {
        StringOrList::String(stop) => vec![stop],
        StringOrList::List(stops) => stops,
    };
    if stops.len() > MAX_STOPS
        || stops.iter().any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
    {
        let message = format!(
            "Invalid 'stop': at most {MAX_STOPS} strings, none empty or longer than \
             {MAX_STOP_BYTES} bytes."
        );
        return Err(invalid("stop", message));
    }
    Ok(stops)
}

fn logprobs(body: &ChatBody) -> Result<Option<usize>, ApiError> {
    let top = integer("top_logprobs", body.top_logprobs, 0..=MAX_TOP_LOGPROBS)?;
    if top.is_some() && !body.logprobs {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(invalid("top_logprobs", message));
    }
    Ok(body.logprobs.then(|| count(top).unwrap_or(0)))
}

fn include_usage(body: &ChatBody) -> Result<bool, ApiError> {
    match &body.stream_options {
        Some(_) if !body.stream => {
            let message =
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            Err(invalid("stream_options", message))
        }
        options => Ok(options.as_ref().is_some_and(|options| options.include_usage)),
    }
}

#[cfg(test)]
mod tests;
