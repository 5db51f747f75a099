//! Sizes of the model.

/// Blocks.
pub const LAYERS: u32 = 6;
/// Width of the residual stream.
pub const HIDDEN: usize = 128;
/// Tokens that a conversation may have.
pub const CONTEXT_LENGTH: u32 = 8192;
