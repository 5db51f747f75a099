//! Sizes of what a block of the KV cache holds.

use crate::config::Config;
use crate::kernel::layout::BLOCK_SIZE;
use half::f16;

/// Type in which keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// f16: the rounding is a small part of the error that weights of fewer bits bring anyway.
    F16,
    /// f32, where the weights are in F32 too and rounding would be the largest error.
    F32,
}

/// Dimensions of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(super) layers: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) precision: Precision,
}

impl Layout {
    pub(crate) fn new(config: &Config, precision: Precision) -> Self {
        Self {
            layers: config.layers,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            precision,
        }
    }

    /// Numbers in one head's keys; its values have as many.
    pub(super) fn head_len(&self) -> usize {
        self.head_dim * BLOCK_SIZE
    }

    /// Numbers in a block.
    pub(super) fn block_len(&self) -> usize {
        2 * self.head_len() * self.kv_heads * self.layers
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_len()
            * match self.precision {
                Precision::F16 => size_of::<f16>(),
                Precision::F32 => size_of::<f32>(),
            }
    }
}
