//! The bodies of OpenAI's API: what clients send, and what this server writes. Typed on both sides;
//! what a request's values mean, and whether they make sense, is for its readers to say.

mod chat_body;
mod chunk;
mod completion;
mod extension;
mod finish_reason;
mod integer;
mod invalid;
mod json;
mod lenient;
mod message;
mod misfit;
mod model;
mod string_or_list;
mod tool;
mod usage;

pub(crate) use chat_body::{ChatBody, FormatType, ResponseFormatBody, StopBody};
pub(crate) use chunk::{ChunkChoice, Delta};
pub(crate) use completion::{
    Choice, CompletionBody, Logprobs, Message, Object, TextChoice, TokenLogprob, TopLogprob,
};
pub(crate) use extension::{
    ExtensionBody, PolicyInfo, ScoreReport, ThresholdInfo, TraitOverrides, TraitScore,
};
pub(crate) use finish_reason::FinishReason;
pub(crate) use integer::Integer;
pub(crate) use invalid::{identifier, integer, invalid, missing, number, unknown, unsupported};
pub(crate) use json::{object, typed};
pub(crate) use lenient::{answered, lenient};
pub(crate) use message::{Content, MessageBody, Part, PartKind, arguments};
pub(crate) use model::{ModelBody, ModelList};
pub(crate) use string_or_list::StringOrList;
pub(crate) use tool::{
    CallOfFunction, CalledFunction, FunctionType, ToolBody, ToolCall, ToolCallBody, ToolChoiceBody,
};
pub(crate) use usage::Usage;
