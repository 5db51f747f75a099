//! A model's tokens, as the grammar compiler needs them.

use crate::tokenizer::Tokenizer;
use llguidance::ParserFactory;
use llguidance::api::ParserLimits;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use std::sync::Arc;

/// The tokenizer, for llguidance.
struct Environment(TokTrie);

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(bytes)
    }

    /// The model chooses how to split text that the grammar determines.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

/// A factory of parsers over the tokenizer's vocabulary; `None` where llguidance refuses it.
pub(super) fn parser_factory(tokenizer: &Tokenizer) -> Option<ParserFactory> {
    let vocab_size = u32::try_from(tokenizer.vocab_size()).ok()?;
    // Control tokens are empty: they cannot be part of any text. One more token ends the responses
    // of a model that has none for this.
    let words: Vec<Vec<u8>> =
        (0..=vocab_size).map(|token| tokenizer.text_bytes(token).to_vec()).collect();
    let ends = match tokenizer.end_tokens() {
        [] => &[vocab_size],
        ends => ends,
    };
    let info = TokRxInfo::new(vocab_size + 1, vocab_size);
    let trie = TokTrie::from(&info, &words).with_eos_tokens(ends);
    let environment: TokEnv = Arc::new(Environment(trie));
    let mut factory = ParserFactory::new_simple(&environment).ok()?;
    factory.quiet();
    *factory.limits_mut() = ParserLimits {
        // A large schema takes 200,000; a millisecond uses 50,000.
        initial_lexer_fuel: 1_000_000,
        // One step of one request delays the others by at most 10 ms.
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
