//! Where a config comes from, and what it is once it was read.

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
    /// The weight file.
    pub model_file: PathBuf,
}
