//! Choices and chunks of our own, in place of what does not leave.

use super::path::Api;
use crate::openai::{Choice, ChunkChoice, Delta, FinishReason, Message, TextChoice};
use serde::Serialize;
use serde_json::{Map, Value};

/// A choice, as the API of the request has it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum FilteredChoice<'a> {
    Chat(Choice),
    ChatChunk(ChunkChoice),
    Text(TextChoice<'a>),
}

impl<'a> FilteredChoice<'a> {
    /// A whole choice that a policy stopped, with what stands in its place.
    pub(super) fn whole(api: Api, index: usize, text: &'a str) -> Self {
        match api {
            Api::Text => Self::text(index, text, Some(FinishReason::ContentFilter)),
            _ => Self::Chat(Choice {
                index,
                message: Message::new(text.to_owned(), Vec::new()),
                logprobs: None,
                finish_reason: FinishReason::ContentFilter,
                personaguard: None,
            }),
        }
    }

    /// The same as the only chunk of a stream.
    pub(super) fn only_chunk(api: Api, index: usize, text: &'a str) -> Self {
        match api {
            Api::Text => Self::text(index, text, Some(FinishReason::ContentFilter)),
            _ => Self::ChatChunk(ChunkChoice {
                finish_reason: Some(FinishReason::ContentFilter),
                ..ChunkChoice::new(index, Delta::role(text.to_owned()))
            }),
        }
    }

    /// A further chunk of a choice: text, or its end.
    pub(super) fn chunk(api: Api, index: usize, content: ChunkContent<'a>) -> Self {
        let (text, finish_reason) = match content {
            ChunkContent::Text(text) => (text, None),
            ChunkContent::Filtered => ("", Some(FinishReason::ContentFilter)),
        };
        match api {
            Api::Text => Self::text(index, text, finish_reason),
            _ => {
                let delta = match content {
                    ChunkContent::Text(text) => Delta::content(text.to_owned()),
                    ChunkContent::Filtered => Delta::default(),
                };
                Self::ChatChunk(ChunkChoice { finish_reason, ..ChunkChoice::new(index, delta) })
            }
        }
    }

    fn text(index: usize, text: &'a str, finish_reason: Option<FinishReason>) -> Self {
        Self::Text(TextChoice { index, text, logprobs: (), finish_reason })
    }
}

/// What a chunk says.
#[derive(Clone, Copy, Debug)]
pub(super) enum ChunkContent<'a> {
    /// This.
    Text(&'a str),
    /// A policy stopped the choice.
    Filtered,
}

/// What all chunks of a response have in common, as the upstream server writes it.
#[derive(Debug, Default)]
pub(super) struct ChunkHead(Map<String, Value>);

impl ChunkHead {
    /// Takes the fields of a chunk, unless there are some already.
    pub(super) fn learn(&mut self, payload: Value) {
        if let (true, Value::Object(mut fields)) = (self.0.is_empty(), payload) {
            fields.retain(|name, _| {
                matches!(
                    name.as_str(),
                    "id" | "object" | "created" | "model" | "system_fingerprint"
                )
            });
            self.0 = fields;
        }
    }

    /// A chunk with this choice.
    pub(super) fn chunk<'a>(&'a self, choice: FilteredChoice<'a>) -> impl Serialize {
        #[derive(Serialize)]
        struct Chunk<'a> {
            #[serde(flatten)]
            head: &'a Map<String, Value>,
            choices: [FilteredChoice<'a>; 1],
        }
        Chunk { head: &self.0, choices: [choice] }
    }
}
