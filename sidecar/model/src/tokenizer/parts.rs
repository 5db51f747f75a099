//! What a tokenizer consists of, whatever file describes it.

use super::scheme::Scheme;
use super::special::SpecialTokens;
use super::vocabulary::Vocabulary;

pub(super) struct Parts {
    pub(super) scheme: Box<dyn Scheme>,
    pub(super) vocabulary: Vocabulary,
    pub(super) special: SpecialTokens,
}
