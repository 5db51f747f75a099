//! Why a vector file cannot be used.

use super::limits::MAX_FILE_BYTES;
use super::metadata::ENTRY;

/// Why a vector file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VectorFileError {
    /// It is larger than what is read.
    #[error("the file has {0} bytes; the limit is {MAX_FILE_BYTES}")]
    TooLarge(usize),
    /// It is not a safetensors file.
    #[error("this is not a readable safetensors file: {0}")]
    Unreadable(String),
    /// It is a safetensors file, but not a vector file.
    #[error(
        "the file has no metadata entry {ENTRY:?}: make it with `personaguard extract` or \
         `personaguard vector import`"
    )]
    NoMetadata,
    /// Its metadata does not parse, or makes no sense.
    #[error("the file's metadata is invalid: {0}")]
    Metadata(String),
    /// A tensor is missing, has another type or shape, or holds values that are not finite.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// Name of the tensor.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}
