//! A choice, and the tokens behind its text, where each is measured by the engine that writes it.

use super::choice::ScoredChoice;
use super::token_count::{Mark, TokenCount};
use personaguard_guard::UnscoredReason;

/// The two together: rows are judged, and text is cleared by what was.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) count: &'a mut TokenCount,
    pub(super) choice: &'a mut ScoredChoice,
}

impl Measured<'_> {
    /// Of `received` measured tokens, how many are to be judged by now.
    pub(super) fn due(&self, received: usize) -> usize {
        if self.choice.stop().is_some() { 0 } else { self.count.due(received) }
    }

    /// Bytes of the text that has come, where nobody says of how many tokens it is.
    pub(super) fn uncounted(&self) -> Option<usize> {
        self.count.is_uncounted().then(|| self.choice.text_len())
    }

    /// The text up to a byte is of so many tokens at most.
    pub(super) fn bound(&mut self, to: usize, tokens: usize) {
        self.count.bound(Mark { to, tokens });
    }

    /// Takes the projections at the prompt's last token.
    pub(super) fn prompt(&mut self, tokens: usize, projections: &[f32]) {
        self.choice.measured_prompt(tokens, projections);
    }

    /// Takes the projections at a token.
    pub(super) fn token(&mut self, number: usize, projections: &[f32]) {
        self.choice.measured_token(projections, self.count.reach(number));
    }

    /// Clears the text whose tokens are among the first `judged`. False where none is left to
    /// clear.
    pub(super) fn clear(&mut self, judged: usize) -> bool {
        let mut is_more = false;
        while let Some(mark) = self.count.next_mark(judged) {
            self.choice.measured_text(mark.to, mark.tokens);
            is_more = true;
        }
        if self.choice.awaits() && self.count.needed().is_some_and(|needed| needed <= judged) {
            is_more = true;
            if !self.count.is_observed() && self.count.marked() < self.choice.text_len() {
                // Text came after the last count.
                self.choice.fail(UnscoredReason::NotUnderstood);
            } else {
                let tokens = self.count.all_tokens().map(|(_, response)| response.to_vec());
                self.choice.measured_all(judged, tokens);
            }
        }
        is_more
    }
}
