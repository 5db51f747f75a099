//! The config folder: what is served and enforced.
//!
//! Either `config.yaml` and `vectors.safetensors`, as the operator mounts them, or plain manifests
//! (`*.yaml` of kinds PersonaModel, PersonaVector and PersonaPolicy) with the vector files beside
//! them.

mod folder;
mod labels;
mod manifests;

pub use folder::{Fingerprint, fingerprint, load};

use personaguard_guard::Vectors;
use personaguard_wire::GuardConfig;
use std::path::PathBuf;

/// Where the config comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The config folder.
    pub folder: PathBuf,
    /// Weight file to serve in place of the one that the config names.
    pub model_file: Option<PathBuf>,
    /// Labels of this pod (downward API); without it every policy is enforced.
    pub labels: Option<PathBuf>,
}

/// A config folder that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is served and enforced, already cut down to the policies that select this pod.
    pub guard: GuardConfig,
    /// The vectors, or why there are none.
    pub vectors: Vectors,
    /// The weight file.
    pub model_file: PathBuf,
}

/// Why a config folder is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is larger than anything that is meant to be there.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// A file does not say what it should.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The files do not fit together.
    #[error("{0}")]
    Rejected(String),
    /// The folder changed while it was read.
    #[error("the config folder keeps changing while it is read")]
    Unsteady,
}
