//! The body of a request to `chat/completions`: OpenAI's fields, and those of vLLM and llama.cpp
//! that do the same here as there.

use super::extension::ExtensionBody;
use super::integer::Integer;
use super::message::MessageBody;
use super::string_or_list::{Item, StringOrList};
use super::tool::{ToolBody, ToolChoiceBody};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The fields that mean something here. A field that is null counts as absent, and one that is not
/// named here is passed over, as OpenAI-compatible servers do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct ChatBody {
    pub(crate) model: String,
    pub(crate) messages: Vec<MessageBody>,
    #[serde(default)]
    pub(crate) stream: bool,
    pub(crate) stream_options: Option<StreamOptions>,
    pub(crate) n: Option<Integer>,
    pub(crate) max_tokens: Option<Integer>,
    pub(crate) max_completion_tokens: Option<Integer>,
    /// llama.cpp's name of it.
    pub(crate) n_predict: Option<Integer>,
    pub(crate) truncate_prompt_tokens: Option<Integer>,
    pub(crate) min_tokens: Option<Integer>,
    pub(crate) ignore_eos: Option<bool>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<Integer>,
    pub(crate) min_p: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) repetition_penalty: Option<f64>,
    /// llama.cpp's name of it, and the tokens that it counts in: 0 turns it off.
    pub(crate) repeat_penalty: Option<f64>,
    pub(crate) repeat_last_n: Option<Integer>,
    pub(crate) logit_bias: Option<Value>,
    pub(crate) seed: Option<Integer>,
    pub(crate) stop: Option<StopBody>,
    pub(crate) stop_token_ids: Option<Vec<Integer>>,
    #[serde(default)]
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: Option<Integer>,
    /// llama.cpp's, SGLang's and vLLM's fields about where reasoning is told.
    pub(crate) reasoning_format: Option<String>,
    pub(crate) separate_reasoning: Option<bool>,
    pub(crate) include_reasoning: Option<bool>,
    pub(crate) response_format: Option<ResponseFormatBody>,
    #[serde(default)]
    pub(crate) tools: Vec<ToolBody>,
    pub(crate) tool_choice: Option<ToolChoiceBody>,
    pub(crate) parallel_tool_calls: Option<bool>,
    #[serde(default)]
    pub(crate) personaguard: ExtensionBody,
}

/// The field `stream_options`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
}

/// The field `stop`.
pub(crate) type StopBody = StringOrList<String>;

impl Item for String {
    const PLURAL: &'static str = "strings";
}

/// The field `response_format`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct ResponseFormatBody {
    pub(crate) r#type: FormatType,
    pub(crate) json_schema: Option<JsonSchemaBody>,
    /// The same without a name, as llama.cpp takes it.
    pub(crate) schema: Option<Map<String, Value>>,
}

/// What a response must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormatType {
    Text,
    JsonObject,
    JsonSchema,
}

/// A named schema.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct JsonSchemaBody {
    pub(crate) name: String,
    pub(crate) schema: Map<String, Value>,
}
