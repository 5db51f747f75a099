//! What a vector file may hold at most.

/// Size of a file, in bytes.
pub const MAX_FILE_BYTES: usize = 512 << 20;
/// Number of layers, not counting the embedding output.
pub const MAX_LAYERS: usize = 1000;
/// Width of the residual stream.
pub const MAX_HIDDEN: usize = 1 << 17;
/// Length of the trait's description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 2000;
/// Length of any other text, in characters.
pub const MAX_TEXT_CHARS: usize = 253;
/// Number of points of a dose response.
pub const MAX_STEERING_POINTS: usize = 64;
/// Number of settings.
pub const MAX_SETTINGS: usize = 64;
