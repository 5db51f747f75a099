//! Pieces that wait until it is known what they are.

use super::piece::Piece;
use std::collections::VecDeque;

/// Pieces in their order, and their text as one.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldText {
    pieces: VecDeque<Piece>,
    text: String,
}

impl HeldText {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.text.push_str(&piece.text);
        self.pieces.push_back(piece);
    }

    /// Takes out the first bytes. A piece in which they end is split; its token stays with the
    /// first part.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Piece> {
        let (mut taken, mut left) = (Vec::new(), bytes);
        while left > 0
            && let Some(mut piece) = self.pieces.pop_front()
        {
            if piece.text.len() > left {
                let rest = piece.text.split_off(left);
                self.pieces.push_front(Piece { text: rest, logprob: None });
            }
            left -= piece.text.len();
            taken.push(piece);
        }
        self.text.drain(..bytes);
        taken
    }

    /// Takes out all, with tokens that brought no text.
    pub(super) fn take_all(&mut self) -> Vec<Piece> {
        self.text.clear();
        self.pieces.drain(..).collect()
    }
}
