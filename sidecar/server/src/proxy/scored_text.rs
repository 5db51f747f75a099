//! The text of a choice, and how much of it was scored.

use super::answer::TokenIds;

/// Bytes of text that make a pass worthwhile: a dozen tokens.
const PASS: usize = 48;

/// Text that grows, and the tokens of what was scored of it.
#[derive(Debug, Default)]
pub(super) struct ScoredText {
    text: String,
    /// Bytes of `text` whose tokens were scored.
    scored: usize,
    tokens: Vec<u32>,
    /// Tokens of the text that was not scored, where the server has given them for all of it.
    given: Given,
    /// Tokens that the last pass left for the next.
    left: Option<Left>,
    /// For each token, where it ends in `text`; too early where that is not known.
    ends: Vec<usize>,
}

/// Tokens of text that a pass did not come to, so that a long text is not made tokens of anew, and
/// otherwise, in the middle of a word.
#[derive(Debug)]
struct Left {
    tokens: Vec<u32>,
    /// Where the last of them ends.
    to: usize,
}

/// Tokens that the server gives.
#[derive(Debug)]
struct Given(Option<Vec<u32>>);

impl Default for Given {
    /// Those of no text.
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl ScoredText {
    /// Takes more text, and its tokens where the server gives them.
    pub(super) fn push(&mut self, text: &str, token_ids: &TokenIds) {
        self.text.push_str(text);
        match token_ids {
            TokenIds::Given(ids) => {
                if let Some(given) = &mut self.given.0 {
                    given.extend(ids);
                }
            }
            TokenIds::Unknown | TokenIds::Absent if text.is_empty() => {}
            TokenIds::Unknown | TokenIds::Absent => self.given.0 = None,
        }
    }

    /// What the server says are the tokens of the text between what was scored and byte `to`, and
    /// perhaps of more.
    pub(super) fn given(&self, to: usize) -> Option<&[u32]> {
        if let Some(left) = self.left.as_ref().filter(|left| left.to == to) {
            return Some(&left.tokens);
        }
        let given = self.given.0.as_deref().filter(|given| !given.is_empty());
        given.filter(|_| to == self.text.len() && to > self.scored)
    }

    /// The tokens that the server gives are not those of its text.
    pub(super) fn distrust(&mut self) {
        (self.given.0, self.left) = (None, None);
    }

    /// The pass that was just taken left these tokens, of text up to byte `to`.
    pub(super) fn leave(&mut self, tokens: Vec<u32>, to: usize) {
        self.left = (!tokens.is_empty()).then_some(Left { tokens, to });
    }

    /// All of it.
    pub(super) fn all(&self) -> &str {
        &self.text
    }

    /// Bytes of all text.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Bytes that were scored.
    pub(super) fn scored(&self) -> usize {
        self.scored
    }

    pub(super) fn is_scored(&self) -> bool {
        self.scored == self.text.len()
    }

    pub(super) fn scored_text(&self) -> &str {
        &self.text[..self.scored]
    }

    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The text between what was scored and byte `to`.
    pub(super) fn unscored(&self, to: usize) -> &str {
        &self.text[self.scored..to]
    }

    /// How far the next pass should go, in bytes; none where it should wait for more text. It ends
    /// where tokens end whatever follows, if there is such a place.
    pub(super) fn next_pass(&self, force: bool) -> Option<usize> {
        if let Some(left) = &self.left {
            return Some(left.to);
        }
        let pending = self.unscored(self.text.len());
        if pending.is_empty() || !(force || pending.len() >= PASS) {
            return None;
        }
        if self.given(self.text.len()).is_some() {
            return Some(self.text.len());
        }
        match last_boundary(pending) {
            Some(cut) => Some(self.scored + cut),
            _ if force || pending.len() >= 4 * PASS => Some(self.text.len()),
            _ => None,
        }
    }

    /// How far the last passes go, where no more text comes.
    pub(super) fn last_pass(&self) -> usize {
        self.left.as_ref().map_or(self.text.len(), |left| left.to)
    }

    /// How far each of so many tokens reaches at most, of those that follow what was scored, up to
    /// byte `to`, and stand for so many bytes each.
    pub(super) fn reaches(&self, to: usize, tokens: usize, bytes: &[usize]) -> Vec<usize> {
        if !self.is_known(to, tokens, bytes) {
            return vec![to; tokens];
        }
        let ends = bytes.iter().scan(self.scored, |end, bytes| {
            *end += bytes;
            Some(*end)
        });
        ends.collect()
    }

    /// Whether the tokens spell the text byte for byte.
    fn is_known(&self, to: usize, tokens: usize, bytes: &[usize]) -> bool {
        bytes.len() == tokens && self.scored + bytes.iter().sum::<usize>() == to
    }

    /// The text up to byte `to` was scored as these tokens, which stand for so many bytes each.
    /// Tokenizers that change what they read leave open where tokens end.
    pub(super) fn advance(&mut self, to: usize, tokens: &[u32], bytes: &[usize]) {
        if self.is_known(to, tokens.len(), bytes) {
            let ends = self.reaches(to, tokens.len(), bytes);
            self.ends.extend(ends);
        } else if let Some(rest) = tokens.len().checked_sub(1) {
            self.ends.extend(std::iter::repeat_n(self.scored, rest).chain([to]));
        }
        self.tokens.extend(tokens);
        self.left = None;
        if let Some(given) = self.given.0.as_mut().filter(|_| to > self.scored) {
            given.drain(..tokens.len().min(given.len()));
        }
        self.scored = to;
    }

    /// Where the first `tokens` end in the text, in bytes.
    pub(super) fn end_of(&self, tokens: usize) -> usize {
        tokens.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

/// The last place in a text where every tokenizer begins a new token, in bytes: a single space
/// between two words. Newlines and further spaces are often of one token with what stands beside
/// them.
fn last_boundary(text: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric();
    text.rmatch_indices(' ').map(|(at, _)| at).find(|at| {
        let (before, after) = (&text[..*at], &text[at + 1..]);
        before.ends_with(is_word) && after.starts_with(is_word)
    })
}

#[cfg(test)]
mod tests;
