//! Where a config comes from, and what it is once it was read.

use super::error::ConfigError;
use personaguard_guard::Vectors;
use personaguard_wire::GuardConfig;
use std::path::{Path, PathBuf};

/// Where the config comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The config folder.
    pub folder: PathBuf,
    /// Weight file to serve in place of the one that the config names.
    pub model_file: Option<PathBuf>,
    /// File with the labels of this pod (downward API). Without it every policy is enforced.
    pub labels: Option<PathBuf>,
    /// Identity of the model that this pod was made for. While the folder has a config for it, that
    /// is read, whatever the model has become for other pods.
    pub identity: Option<String>,
}

/// A config folder that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is served and enforced. Only policies that select this pod are left.
    pub guard: GuardConfig,
    /// The values of the vectors.
    pub vectors: Vectors,
    /// The weight file; or what to do where the folder does not say it. A model that another engine
    /// runs needs none here.
    pub model_file: Result<PathBuf, String>,
}

impl Config {
    /// The weight file.
    ///
    /// # Errors
    /// Nobody says where it is.
    pub fn weight_file(&self) -> Result<&Path, ConfigError> {
        self.model_file.as_deref().map_err(|todo| ConfigError::Rejected(todo.clone()))
    }
}
