//! Persona vectors: formats, projection, extraction, calibration and their statistics.
//!
//! Pure: nothing here runs a model, reads a file or opens a socket. Layers are numbered as in the
//! paper: 0 is the embedding output, ℓ the residual stream after block ℓ.

pub mod calibration;
pub mod drift;
pub mod extraction;
pub mod import;
mod ladder;
mod layers_file;
pub mod linear;
pub mod page;
pub mod random;
mod safetensors_view;
pub mod screening;
pub mod shift;
pub mod stats;
pub mod trait_spec;
mod vector_file;

pub use calibration::Calibration;
pub use ladder::{Rung, rises, surety};
pub use layers_file::{LayersFileError, read_layers, write_layers};
pub use linear::{cosine, norm, project, unit};
pub use trait_spec::{Benign, Contrast, Draft, Polarity, TraitSpec, TraitSpecError, Wanted};
pub use vector_file::{
    Counts, Interval, LayerMatrix, LayerValidation, Limits, ModelIdentity, Permuted, VectorFile,
    VectorFileError, VectorMetadata,
};

use sha2::{Digest, Sha256};

/// SHA-256 of some bytes, 64 lower-case hexadecimal digits: how vector files and weights are named.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of a layer's values as F32, little-endian.
#[must_use]
pub fn layer_digest(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    for value in values {
        hasher.update(value.to_le_bytes());
    }
    hex::encode(hasher.finalize())
}
