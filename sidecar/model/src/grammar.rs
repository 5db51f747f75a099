//! Constrained decoding: responses that are JSON of a schema, or tool calls.
//!
//! A grammar is compiled for each request, in bounded time and memory whatever the schema. At each
//! step it tells which tokens may come next; the logits of the others are masked.

mod error;
mod schema;
mod schema_size;
mod text_form;
mod tokens;
mod tool_calls;

pub use error::GrammarError;
pub(crate) use error::NoValidToken;
pub use schema::MAX_SCHEMA_BYTES;
pub use text_form::TextForm;
pub use tool_calls::{CallMode, Callable};

use crate::chat::ToolCallFormat;
use crate::tokenizer::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::SimpleVob;
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;
use std::sync::OnceLock;

/// The format of a response, compiled for one model. A clone continues from where the original
/// stands.
#[derive(Clone)]
pub struct Grammar {
    /// Boxed because of its size, 1.5 kB.
    matcher: Box<Matcher>,
}

/// Compiles grammars for one model.
#[derive(Default)]
pub(crate) struct GrammarCompiler {
    /// Made when it is first needed; `None` where the tokenizer does not allow it.
    factory: OnceLock<Option<ParserFactory>>,
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammar")
    }
}

impl std::fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrammarCompiler")
    }
}

impl GrammarCompiler {
    /// See [`crate::Model::json_schema_grammar`].
    pub(crate) fn json_schema(
        &self,
        tokenizer: &Tokenizer,
        schema: &Value,
    ) -> Result<Grammar, GrammarError> {
        let prepared = schema::prepare(schema)?;
        schema_size::check([schema])?;
        self.compile(tokenizer, TopLevelGrammar::from_json_schema(prepared))
    }

    /// See [`crate::Model::text_grammar`].
    pub(crate) fn text(
        &self,
        tokenizer: &Tokenizer,
        form: &TextForm,
    ) -> Result<Grammar, GrammarError> {
        self.compile(tokenizer, form.grammar()?).map_err(|error| match error {
            GrammarError::Schema(what) => GrammarError::Text(what),
            other => other,
        })
    }

    /// See [`crate::Model::tool_call_grammar`].
    pub(crate) fn tool_calls(
        &self,
        tokenizer: &Tokenizer,
        format: ToolCallFormat,
        functions: &[Callable],
        mode: &CallMode,
        max_calls: usize,
    ) -> Result<Grammar, GrammarError> {
        let source = tool_calls::source(format, functions, mode, max_calls)?;
        self.compile(tokenizer, TopLevelGrammar::from_lark(source))
    }

    fn compile(
        &self,
        tokenizer: &Tokenizer,
        grammar: TopLevelGrammar,
    ) -> Result<Grammar, GrammarError> {
        let factory = self.factory.get_or_init(|| tokens::parser_factory(tokenizer));
        let Some(factory) = factory else {
            return Err(GrammarError::schema("this model's tokenizer cannot be constrained"));
        };
        let matcher = Matcher::new(factory.create_parser(grammar));
        match matcher.get_error() {
            None => Ok(Grammar { matcher: Box::new(matcher) }),
            // A message for developers, with a stack.
            Some(error) if error.starts_with("panic") => {
                Err(GrammarError::schema("it uses a feature that is not supported"))
            }
            Some(error) => Err(GrammarError::schema(error.lines().next().unwrap_or_default())),
        }
    }
}

impl Grammar {
    /// Sets the logits of tokens that cannot come next to −∞.
    pub(crate) fn mask(&mut self, logits: &mut [f32]) -> Result<(), NoValidToken> {
        let allowed: SimpleVob = self.matcher.compute_mask_or_eos().map_err(|_| NoValidToken)?;
        let (words, bits) = (allowed.as_slice(), u32::BITS as usize);
        for (index, logits) in logits.chunks_mut(bits).enumerate() {
            let word = words.get(index).copied().unwrap_or(0);
            if word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    /// Advances by the token that came next.
    pub(crate) fn push(&mut self, token: u32) -> Result<(), NoValidToken> {
        self.matcher.consume_token(token).map_err(|_| NoValidToken)
    }

    /// Whether the response is complete: no token can follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}
