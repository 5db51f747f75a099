//! Tool calls of a choice, and what can be called.

use super::piece::Piece;
use crate::openai::{CalledFunction, FunctionType, ToolCall};
use personaguard_model::ToolCallFormat;

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Its number in the choice, from 0.
    pub(super) index: usize,
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
}

impl Call {
    /// The call as a whole response has it.
    pub(super) fn into_body(self) -> ToolCall {
        ToolCall {
            index: None,
            id: format!("call_{}", uuid::Uuid::new_v4().simple()),
            r#type: FunctionType::Function,
            function: CalledFunction { name: self.name, arguments: self.arguments },
        }
    }

    /// The call as a chunk has it: with its number.
    pub(super) fn into_chunk(self) -> ToolCall {
        ToolCall { index: Some(self.index), ..self.into_body() }
    }
}

/// A part of what a choice says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// What the model thinks before it says something.
    Thought(String),
    Text(Piece),
    Call(Call),
}

/// What can be called, and how a model writes it.
#[derive(Debug)]
pub(super) struct Callables {
    pub(super) format: ToolCallFormat,
    /// Names of functions.
    pub(super) names: Vec<String>,
    /// Calls of one choice at most.
    pub(super) max_calls: usize,
}
