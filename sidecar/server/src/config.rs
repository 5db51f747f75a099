//! The config folder: what is served and enforced.
//!
//! It holds either `config.yaml` and `vectors.safetensors`, as the operator mounts them, or plain
//! manifests (`*.yaml` of kinds PersonaModel, PersonaVector and PersonaPolicy) with the vector
//! files beside them.

mod error;
mod file;
mod fingerprint;
mod labels;
mod load;
mod manifests;
mod mounted;
mod source;

pub use error::ConfigError;
pub use fingerprint::{Fingerprint, fingerprint};
pub use load::load;
pub use source::{Config, Source};
