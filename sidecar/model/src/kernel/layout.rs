//! Sizes that all kernels share.

/// Rows of weights that a kernel computes together: the lanes of a vector of f32.
pub(crate) const LANES: usize = 8;
/// Values that share a scale, in weights and in activations.
pub(crate) const QUANT_BLOCK: usize = 32;
/// Most rows of activations in one kernel call.
pub(crate) const TILE_ROWS: usize = 4;

/// Tokens in a block of the KV cache.
pub(crate) const BLOCK_SIZE: usize = 32;

/// Results of one kernel call, `[activation row][weight row]`.
pub(crate) type Tile = [[f32; LANES]; TILE_ROWS];
