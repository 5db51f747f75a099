//! The pieces of sequences that one pass computes.

use crate::kv::Block;
use crate::residual::{ResidualPlan, StateSums};
use std::sync::Arc;

/// A piece of one sequence in a batch.
pub(crate) struct Segment<'a> {
    /// Tokens to compute, at least one.
    pub(crate) tokens: &'a [u32],
    /// Position of the first of them in the sequence.
    pub(crate) start: usize,
    /// Tokens of the sequence's prompt: the position at which the response begins.
    pub(crate) prompt_tokens: usize,
    /// Cache blocks of the sequence, enough for all positions up to the segment's last.
    pub(crate) blocks: &'a [Arc<Block>],
    pub(crate) plan: &'a ResidualPlan,
    /// The first of `tokens` that taps read.
    pub(crate) tap_from: usize,
    /// `[token read][tap]`, filled by the pass.
    pub(crate) projections: Vec<f32>,
    /// Where hidden states are added, if they are asked for.
    pub(crate) states: Option<&'a mut StateSums>,
}

impl Segment<'_> {
    /// Resizes `projections` to what the pass will read.
    pub(super) fn resize_projections(&mut self) {
        let read = self.tokens.len().saturating_sub(self.tap_from);
        self.projections.resize(read * self.plan.tap_count(), 0.0);
    }
}

/// One row of a batch: a token of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchRow {
    /// Number of the segment in the batch.
    pub(super) segment: usize,
    /// Position in the sequence.
    pub(super) position: usize,
    pub(super) token: u32,
}

impl BatchRow {
    /// The rows of all segments, in order.
    pub(super) fn all(segments: &[Segment<'_>]) -> Vec<Self> {
        let rows = |(segment, piece): (usize, &Segment<'_>)| {
            let start = piece.start;
            let row = move |(offset, &token)| Self { segment, position: start + offset, token };
            piece.tokens.iter().enumerate().map(row).collect::<Vec<_>>()
        };
        segments.iter().enumerate().flat_map(rows).collect()
    }
}
