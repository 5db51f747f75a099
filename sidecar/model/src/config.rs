//! What distinguishes one decoder from another: every architecture is a description, not code of
//! its own.

mod rope;

use crate::kernel::vector::ActivationFn;
pub(crate) use rope::{Rope, RopeFactors, RopeLayout, YarnScaling, llama3_factors};

/// A decoder-only transformer with gated feed-forward layers.
///
/// What the weights themselves show (biases, norms of queries and keys and whether these are of
/// each head or of all, sinks, a separate output matrix) is not repeated here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Number of blocks.
    pub(crate) layers: usize,
    /// Values of the hidden state.
    pub(crate) hidden_size: usize,
    /// Query heads, a multiple of `kv_heads`.
    pub(crate) heads: usize,
    /// Heads of keys and values.
    pub(crate) kv_heads: usize,
    /// Values of a head, a multiple of 8.
    pub(crate) head_dim: usize,
    /// Values between the two matrices of a feed-forward layer, or of each of its experts.
    pub(crate) feed_forward_size: usize,
    /// Of feed-forward layers that are mixtures of experts.
    pub(crate) experts: Option<Experts>,
    /// Longest context in tokens.
    pub(crate) context_length: usize,
    pub(crate) norms: NormPlacement,
    pub(crate) norm_epsilon: f32,
    /// Added to the stored factors of the norms: some files store their difference from 1.
    pub(crate) norm_offset: f32,
    pub(crate) activation: ActivationFn,
    /// Factor on embeddings.
    pub(crate) embedding_scale: f32,
    /// Factor on queries.
    pub(crate) attention_scale: f32,
    /// Factor on what a layer adds to the residual stream.
    pub(crate) residual_scale: f32,
    /// Factor on logits, before their bound.
    pub(crate) logit_scale: f32,
    /// Bound of attention scores, by [`crate::kernel::vector::soft_cap`].
    pub(crate) score_cap: Option<f32>,
    /// Bound of logits, likewise.
    pub(crate) logit_cap: Option<f32>,
    pub(crate) rope: Rope,
    pub(crate) window: Option<SlidingWindow>,
}

/// Mixture of experts: each token goes through the few gated layers that a router rates highest,
/// and what these give is summed with the router's softmax as weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Experts {
    /// At least 2.
    pub(crate) count: usize,
    /// Experts that a token goes through, at most `count`.
    pub(crate) used: usize,
    /// Whether the weights of these are scaled so that their sum is 1.
    pub(crate) is_normalized: bool,
    /// Whether there is another gated layer, which every token goes through, and whose weight is
    /// σ(⟨gate, x⟩).
    pub(crate) has_shared: bool,
}

/// Where a block has norms: of what a layer reads from the residual stream, and of what it adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormPlacement {
    Before,
    After,
    BeforeAndAfter,
}

impl NormPlacement {
    pub(crate) fn is_before(self) -> bool {
        self != Self::After
    }

    pub(crate) fn is_after(self) -> bool {
        self != Self::Before
    }
}

/// Sliding-window attention: in some blocks a token attends to the last few tokens only.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlidingWindow {
    /// Tokens in the window, counting the query's own.
    pub(crate) tokens: usize,
    /// The last of every `period` blocks attends to everything; 1 puts all blocks under the window.
    pub(crate) period: usize,
    /// RoPE base of windowed blocks, whose frequencies then are not scaled. `None` where they
    /// rotate as all other blocks do.
    pub(crate) rope_base: Option<f64>,
}

impl SlidingWindow {
    /// Whether block `index`, counted from 0, is under a window of this period.
    pub(crate) fn is_in(index: usize, period: usize) -> bool {
        period == 1 || !(index + 1).is_multiple_of(period)
    }
}

impl Config {
    /// Whether block `index`, counted from 0, has a sliding window.
    pub(crate) fn is_windowed(&self, index: usize) -> bool {
        self.window.as_ref().is_some_and(|window| SlidingWindow::is_in(index, window.period))
    }

    /// Values of all query heads of one token.
    pub(crate) fn query_size(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Values of all keys of one token; its values are as many.
    pub(crate) fn kv_size(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}
