//! Where a config comes from, and what it is once it was read.

use personaguard_crds::guard_config::GuardConfig;
use personaguard_guard::Refusal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the config comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The config folder.
    pub folder: PathBuf,
    /// Weight file to serve in place of the one that the config names.
    pub model_file: Option<PathBuf>,
    /// File with the labels of this pod (downward API). Without it every policy is enforced.
    pub labels: Option<PathBuf>,
}

/// A config folder that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is served and enforced. Only policies that select this pod are left.
    pub guard: GuardConfig,
    /// The values of the vectors.
    pub vectors: VectorValues,
    /// The weight file.
    pub model_file: PathBuf,
}

/// Values of vectors by name: shape `[hidden]`, or why they cannot be used.
pub type VectorValues = BTreeMap<String, Result<Arc<[f32]>, Refusal>>;
