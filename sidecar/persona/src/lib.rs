//! Persona vectors: file formats, projection, extraction, calibration and their statistics.
//!
//! The method is that of *Persona Vectors* (Chen et al., 2025, arXiv:2507.21509), called "the
//! paper" throughout. Everything here is pure: nothing runs a model, touches the file system or
//! opens a socket. Layers are numbered as in the paper: layer 0 is the embedding output, layer ℓ
//! the residual stream after block ℓ.

pub mod calibration;
mod digest;
mod dose_response;
pub mod drift;
pub mod extraction;
pub mod f32_tensors;
mod layer_matrix;
pub mod linear;
pub mod page;
pub mod random;
pub mod screening;
pub mod shift;
pub mod stats;
pub mod trait_spec;
mod vector_bundle;
pub mod vector_file;

pub use calibration::Calibration;
pub use digest::{layer_digest, sha256_hex};
pub use dose_response::{SteeredAnswer, SteeringPoint, is_monotonic, min_z};
pub use layer_matrix::LayerMatrix;
pub use linear::{cosine, norm, project, unit};
pub use trait_spec::{
    BenignPrompts, Contrast, DraftPart, Polarity, TraitDraft, TraitSpec, TraitSpecError,
};
pub use vector_bundle::{VectorBundleError, read_vector_bundle, write_vector_bundle};
pub use vector_file::{
    LayerValidation, MadeOn, ModelIdentity, SampleCounts, VectorFile, VectorFileError,
    VectorMetadata,
};
