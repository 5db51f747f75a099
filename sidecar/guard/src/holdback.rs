//! Tokens between decoder and client.

use std::collections::VecDeque;

/// Holds what was sampled until the decision lets it go: one piece for each token. Pieces keep
/// their cuts, so that what a client reads does not depend on how long they were held.
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
    /// Takes the piece of the next token.
    pub fn push(&mut self, piece: T) {
        self.held.push_back(piece);
    }

    /// Tokens taken so far.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.released + self.held.len()
    }

    /// The next piece, as long as fewer than `limit` tokens left.
    pub fn release(&mut self, limit: usize) -> Option<T> {
        if self.released >= limit {
            return None;
        }
        let piece = self.held.pop_front()?;
        self.released += 1;
        Some(piece)
    }
}
