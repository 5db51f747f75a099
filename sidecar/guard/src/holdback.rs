//! The tokens between decoder and client.

use std::collections::VecDeque;

/// Holds sampled tokens until the decision releases them, one piece of text for each. Pieces are
/// neither joined nor split, so that what a client reads does not depend on how long they waited.
#[derive(Debug)]
pub struct Holdback<T> {
    held: VecDeque<T>,
    released: usize,
}

impl<T> Default for Holdback<T> {
    fn default() -> Self {
        Self { held: VecDeque::new(), released: 0 }
    }
}

impl<T> Holdback<T> {
    /// Adds the piece of the next token.
    pub fn push(&mut self, piece: T) {
        self.held.push_back(piece);
    }

    /// Tokens pushed so far.
    #[must_use]
    pub fn pushed(&self) -> usize {
        self.released + self.held.len()
    }

    /// The next piece, as long as fewer than `limit` tokens were released.
    pub fn release(&mut self, limit: usize) -> Option<T> {
        if self.released >= limit {
            return None;
        }
        let piece = self.held.pop_front()?;
        self.released += 1;
        Some(piece)
    }
}
