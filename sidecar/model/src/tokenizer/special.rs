//! Tokens that are more than a piece of text.

use aho_corasick::{AhoCorasick, MatchKind};

/// Control tokens that close a turn in a known chat format. Files often name only one of theirs as
/// the end of a sequence; each of these ends a response.
const TURN_ENDS: [&str; 6] =
    ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"];

/// Whether the control token with this text ends a response.
pub(super) fn ends_turn(text: &str) -> bool {
    TURN_ENDS.contains(&text)
}

/// Special tokens of a vocabulary.
pub(super) struct SpecialTokens {
    /// Control tokens: they are found in trusted text only.
    pub(super) control: TokenMatcher,
    /// Tokens that are found in any text before it is split into words.
    pub(super) user_defined: TokenMatcher,
    /// Tokens that end a response, in ascending order.
    pub(super) end_tokens: Vec<u32>,
    /// The token that begins a sequence.
    pub(super) bos: Option<u32>,
    /// Whether the model wants [`Self::bos`] in front.
    pub(super) adds_bos: bool,
    /// Texts of the tokens that begin and end a sequence.
    pub(super) boundary_texts: [Option<String>; 2],
}

/// Finds tokens by their whole text.
pub(super) struct TokenMatcher {
    /// Pattern p is token `ids[p]`.
    finder: Option<AhoCorasick>,
    ids: Vec<u32>,
}

impl TokenMatcher {
    /// Finds those of the tokens that `wanted` chooses by their number.
    pub(super) fn new(tokens: &[String], wanted: impl Fn(usize) -> bool) -> Self {
        // A single character is never taken for a control token: nothing would distinguish it from
        // text.
        let chosen = |index: &usize| wanted(*index) && tokens[*index].chars().nth(1).is_some();
        let ids: Vec<u32> = (0..tokens.len())
            .filter(chosen)
            .filter_map(|index| u32::try_from(index).ok())
            .collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(ids.iter().map(|&id| &tokens[id as usize]))
            .ok()
            .filter(|_| !ids.is_empty());
        Self { finder, ids }
    }

    /// Appends the tokens that are found, and calls `plain` for the text between them.
    pub(super) fn split(
        &self,
        text: &str,
        tokens: &mut Vec<u32>,
        plain: impl Fn(&str, &mut Vec<u32>),
    ) {
        let mut end = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            plain(&text[end..found.start()], tokens);
            tokens.push(self.ids[found.pattern().as_usize()]);
            end = found.end();
        }
        plain(&text[end..], tokens);
    }

    /// Puts `mark` behind the first character of every token that is found, until none is.
    pub(super) fn break_up(&self, mut text: String, mark: char) -> String {
        let Some(finder) = &self.finder else { return text };
        // Tokens may overlap: look again after each change.
        while finder.is_match(&text) {
            let mut broken = String::with_capacity(text.len() + 64);
            let mut end = 0;
            for found in finder.find_iter(&text) {
                let first = text[found.start()..].chars().next().map_or(0, char::len_utf8);
                broken.push_str(&text[end..found.start() + first]);
                broken.push(mark);
                end = found.start() + first;
            }
            broken.push_str(&text[end..]);
            text = broken;
        }
        text
    }
}
