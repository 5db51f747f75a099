//! What a response must look like: JSON, or JSON that fits a schema.
//!
//! A grammar is compiled once for each request, in bounded time and memory, whatever the schema. At
//! each step it says which tokens may come next; the others are taken out before a token is chosen.

pub(crate) mod calls;
mod weight;

use super::event::EngineError;
use crate::Model;
use crate::tokenizer::Tokenizer;
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Longest schema in bytes, as compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// Space between two lexemes of JSON at most, one blank, or a new line and its indentation: small
/// models would else write nothing but empty lines.
const SPACE: &str = r" |\n[ \t]{0,16}";

/// A response's format, compiled for one model. Clones begin anew where the original stands.
#[derive(Clone)]
pub struct Grammar {
    /// A kilobyte and a half by itself.
    matcher: Box<Matcher>,
}

/// Why there is no such [`Grammar`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// Longer, or richer in combinations, than is compiled.
    #[error("{0}")]
    TooLarge(&'static str),
    /// No schema, or one with what is not supported.
    #[error("the schema cannot be used: {0}")]
    Schema(String),
}

/// The response cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

impl From<Stuck> for EngineError {
    fn from(_: Stuck) -> Self {
        Self::Format
    }
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammar")
    }
}

/// What compiling takes besides a schema: made when it is first needed.
#[derive(Default)]
pub(crate) struct Grammars(OnceLock<Option<ParserFactory>>);

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grammars")
    }
}

impl Model {
    /// The format of JSON that fits a schema. Takes milliseconds and some megabytes, with any
    /// schema; not for async code.
    ///
    /// # Errors
    /// See [`GrammarError`]. What of JSON Schema is not supported is named, not passed over.
    pub fn json_schema(&self, schema: &Value) -> Result<Grammar, GrammarError> {
        let compiled = bounded(schema)?;
        weight::check(schema)?;
        self.grammar(TopLevelGrammar::from_json_schema(compiled))
    }

    fn grammar(&self, grammar: TopLevelGrammar) -> Result<Grammar, GrammarError> {
        let factory = self.grammars.0.get_or_init(|| factory(self.tokenizer()));
        let Some(factory) = factory else {
            return Err(unusable("this model's tokenizer cannot be constrained"));
        };
        let matcher = Matcher::new(factory.create_parser(grammar));
        match matcher.get_error() {
            None => Ok(Grammar { matcher: Box::new(matcher) }),
            // A message for developers, with a stack.
            Some(error) if error.starts_with("panic") => {
                Err(unusable("it asks for what is not supported"))
            }
            Some(error) => Err(unusable(error.lines().next().unwrap_or_default())),
        }
    }
}

fn unusable(what: &str) -> GrammarError {
    GrammarError::Schema(what.to_owned())
}

/// A schema as it is compiled: in bounded time and memory, if [`weight::check`] lets it pass, too.
fn bounded(schema: &Value) -> Result<Value, GrammarError> {
    if !schema.is_object() {
        return Err(unusable("it is no JSON object"));
    }
    if schema.to_string().len() > MAX_SCHEMA_BYTES {
        return Err(GrammarError::TooLarge("the schema is longer than 64 KiB"));
    }
    let mut schema = schema.clone();
    // The caller's own options, if any, are overwritten.
    JsonCompileOptions {
        whitespace_pattern: Some(SPACE.to_owned()),
        ..JsonCompileOptions::default()
    }
    .apply_to(&mut schema);
    Ok(schema)
}

impl Grammar {
    /// Sets the logits of tokens that cannot come next to −∞.
    pub(crate) fn mask(&mut self, logits: &mut [f32]) -> Result<(), Stuck> {
        let allowed: SimpleVob = self.matcher.compute_mask_or_eos().map_err(|_| Stuck)?;
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

    /// Takes the token that came next.
    pub(crate) fn push(&mut self, token: u32) -> Result<(), Stuck> {
        self.matcher.consume_token(token).map_err(|_| Stuck)
    }

    /// Nothing can follow: the response is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}

/// A model's tokens as the grammar's compiler wants them.
struct Tokens(TokTrie);

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(bytes)
    }

    /// The model chooses how to split text that is certain.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

fn factory(tokenizer: &Tokenizer) -> Option<ParserFactory> {
    let known = u32::try_from(tokenizer.vocabulary()).ok()?;
    // Control tokens are empty: no text is made of them. One more ends the responses of a model
    // that has no such token.
    let words: Vec<Vec<u8>> =
        (0..=known).map(|token| tokenizer.token_bytes(token).to_vec()).collect();
    let ends = match tokenizer.end_tokens() {
        [] => &[known],
        ends => ends,
    };
    let trie = TokTrie::from(&TokRxInfo::new(known + 1, known), &words).with_eos_tokens(ends);
    let env: TokEnv = Arc::new(Tokens(trie));
    let mut factory = ParserFactory::new_simple(&env).ok()?;
    factory.quiet();
    *factory.limits_mut() = ParserLimits {
        // A large schema takes 200,000; 50,000 a millisecond.
        initial_lexer_fuel: 1_000_000,
        // One step of one request holds up the others for 10 ms at most.
        step_lexer_fuel: 100_000,
        step_max_items: 40_000,
        // Up to 2 kB each.
        max_lexer_states: 10_000,
        max_grammar_size: 100_000,
        verbose_errors: false,
        ..ParserLimits::default()
    };
    Some(factory)
}
