//! A request to `chat/completions`, checked: what it asks for makes sense. Whether it fits the
//! model is found out later.

mod anthropic;
mod messages;
mod other_formats;
mod response_format;
mod responses;
mod sampling;
mod template;
mod text;
mod tools;
mod unsupported;

pub(super) use response_format::ResponseFormat;
pub(super) use text::{TextPrompt, token_numbers};
pub(super) use tools::{Function, ToolChoice, Tools};

use crate::http::ApiError;
use crate::openai::{ChatBody, StopBody, StringOrList, integer, invalid, object, typed};
use crate::session::{ReportOptions, extension};
use personaguard_guard::Overrides;
use personaguard_model::{ChatOptions, Sampling};
use serde_json::{Map, Value};

/// Choices of one response at most.
const MAX_CHOICES: i64 = 8;
/// Stop strings of a request at most: OpenAI's API takes 4, vLLM and llama.cpp any number.
const MAX_STOPS: usize = 16;
/// Longest stop string in bytes.
const MAX_STOP_BYTES: usize = 1024;
/// Alternatives to a token at most, as in OpenAI's API.
const MAX_TOP_LOGPROBS: i64 = 20;

/// Where the reasoning of a model is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    /// As `reasoning_content` and `reasoning`.
    Apart,
    /// As the model wrote it.
    InContent,
    Nowhere,
}

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    /// As chat templates know them: text content, calls with their arguments as objects.
    pub(super) messages: Vec<Value>,
    /// A prompt without turns, in place of messages.
    pub(super) text: Option<TextPrompt>,
    /// What the chat template is given besides messages and tools.
    pub(super) options: ChatOptions,
    /// Most tokens of the prompt that are read, from its end.
    pub(super) keep_last: Option<usize>,
    /// What the response may call, if anything.
    pub(super) tools: Option<Tools>,
    /// Choices, at least 1.
    pub(super) n: usize,
    /// Most tokens of each choice; none: what the context has left. 0: the prompt is only read.
    pub(super) max_tokens: Option<usize>,
    pub(super) sampling: Sampling,
    pub(super) stop: Vec<String>,
    /// What the response must look like, if not just text.
    pub(super) format: Option<ResponseFormat>,
    /// Alternatives to each token, where log probabilities are asked for.
    pub(super) logprobs: Option<usize>,
    pub(super) reasoning: Reasoning,
    pub(super) stream: bool,
    /// In a stream: whether a last chunk brings the usage.
    pub(super) include_usage: bool,
    pub(super) report: ReportOptions,
    pub(super) overrides: Overrides,
}

impl ChatRequest {
    /// Whether the answer may have any words.
    pub(super) fn is_free(&self) -> bool {
        let tools = self.tools.as_ref();
        self.format.is_none() && tools.is_none_or(|tools| tools.choice == ToolChoice::Auto)
    }

    /// Reads and checks a body of `chat/completions`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        Self::from_fields(object(body)?)
    }

    /// Checks the fields of such a body.
    pub(super) fn from_fields(fields: Map<String, Value>) -> Result<Self, ApiError> {
        Self::check(fields, None)
    }

    /// Reads and checks a body of `completions`.
    pub(super) fn parse_text(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = object(body)?;
        let prompt = text::take(&mut fields)?;
        Self::check(fields, Some(prompt))
    }

    /// Reads and checks a body of `responses`.
    pub(super) fn parse_responses(body: &[u8]) -> Result<Self, ApiError> {
        let fields = responses::as_chat(object(body)?)?;
        Self::check(fields, None).map_err(responses::by_its_fields)
    }

    /// Reads and checks a body of Anthropic's `messages`.
    pub(super) fn parse_messages(body: &[u8]) -> Result<Self, ApiError> {
        let fields = anthropic::as_chat(object(body)?)?;
        Self::check(fields, None).map_err(anthropic::by_its_fields)
    }

    fn check(mut fields: Map<String, Value>, text: Option<TextPrompt>) -> Result<Self, ApiError> {
        unsupported::refuse(&fields)?;
        messages::fill_content(&mut fields);
        let options = template::read(&mut fields)?;
        let other_format = other_formats::read(&fields)?;
        let body: ChatBody = typed(fields)?;
        let (report, overrides) = extension(body.personaguard.clone())?;
        let default_tokens = text.is_some().then_some(text::DEFAULT_MAX_TOKENS);
        Ok(Self {
            n: count(integer("n", body.n, 1..=MAX_CHOICES)?).unwrap_or(1),
            max_tokens: max_tokens(&body, default_tokens)?,
            sampling: sampling::check(&body)?,
            logprobs: logprobs(&body)?,
            include_usage: body.stream_options.is_some_and(|options| options.include_usage),
            model: body.model,
            messages: match text {
                None => messages::check(body.messages)?,
                Some(_) => Vec::new(),
            },
            text,
            options,
            // −1 is the model's own limit, beyond which nothing is read anyway.
            keep_last: count(
                integer("truncate_prompt_tokens", body.truncate_prompt_tokens, -1..=i64::MAX)?
                    .filter(|most| *most > 0),
            ),
            tools: tools::check(body.tools, body.tool_choice, body.parallel_tool_calls)?,
            stop: body.stop.map_or(Ok(Vec::new()), stop)?,
            format: other_formats::only(
                body.response_format.map_or(Ok(None), response_format::check)?,
                other_format,
            )?,
            reasoning: match (
                &body.reasoning_format,
                body.separate_reasoning,
                body.include_reasoning,
            ) {
                (Some(format), ..) if format == "none" => Reasoning::InContent,
                (_, Some(false), _) => Reasoning::InContent,
                (_, _, Some(false)) => Reasoning::Nowhere,
                _ => Reasoning::Apart,
            },
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

/// The newest of the names that are given counts. −1 is no limit, as in llama.cpp.
fn max_tokens(body: &ChatBody, default: Option<usize>) -> Result<Option<usize>, ApiError> {
    let limit = |param, number| integer(param, number, -1..=i64::MAX);
    let newest = limit("max_completion_tokens", body.max_completion_tokens)?;
    let older = limit("max_tokens", body.max_tokens)?;
    let given = newest.or(older).or(limit("n_predict", body.n_predict)?);
    Ok(given.map_or(default, |given| count(Some(given).filter(|given| *given >= 0))))
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
    if top.is_some_and(|top| top > 0) && !body.logprobs {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(invalid("top_logprobs", message));
    }
    Ok(body.logprobs.then(|| count(top).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
