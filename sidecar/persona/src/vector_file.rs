//! The vector file: one trait's persona vectors at every layer of one exact model, with what is
//! known about them.
//!
//! It is a safetensors file. Tensor `response_avg`, F32, shape `[layers + 1, hidden]`, holds the
//! persona vectors over response tokens: row ℓ is the raw mean difference after block ℓ, row 0 that
//! of the embedding output. Tensors `prompt_avg` (over prompt tokens) and `prompt_last` (at the
//! last prompt token), of the same shape, are optional.
//!
//! The only metadata entry of the header, `persona_vector`, is a [`VectorMetadata`] as JSON. There
//! is only one because the order of several would not be fixed, and equal vectors must give equal
//! bytes.

mod error;
mod file;
pub mod limits;
mod metadata;
mod read;
mod validate;
mod write;

pub use error::VectorFileError;
pub use file::VectorFile;
pub use metadata::{LayerValidation, MadeOn, ModelIdentity, SampleCounts, VectorMetadata};
