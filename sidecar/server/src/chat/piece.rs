//! What one token adds to a choice.

use crate::openai::{TokenLogprob, TopLogprob};
use personaguard_model::{Token, TokenProbability, Tokenizer};

/// The text of a token, and its log probability where that is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) logprob: Option<TokenLogprob>,
}

/// Log probability of a token, with its alternatives.
pub(super) fn logprob(token: &Token, tokenizer: &Tokenizer) -> TokenLogprob {
    let text = |id| tokenizer.decode(&[id]);
    // The token's own bytes: where it holds a part of a character only, the text has a replacement
    // character.
    let bytes = |id| tokenizer.token_bytes(id).to_vec();
    let top = |top: &TokenProbability| TopLogprob {
        bytes: bytes(top.id),
        logprob: top.logprob.into(),
        token: text(top.id),
    };
    TokenLogprob {
        token: text(token.id),
        logprob: token.logprob.into(),
        bytes: bytes(token.id),
        top_logprobs: token.top.iter().map(top).collect(),
    }
}
