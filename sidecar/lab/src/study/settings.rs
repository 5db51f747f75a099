//! What the command `study` is asked for.

use crate::engine::EngineSettings;
use std::path::PathBuf;

/// What the command `study` is asked for.
#[derive(Clone, Debug)]
pub struct StudySettings {
    /// Weight file.
    pub model: PathBuf,
    /// How the engine runs.
    pub engine: EngineSettings,
    /// Vector files.
    pub vectors: Vec<PathBuf>,
    /// Trait files of traits that are not built in.
    pub trait_files: Vec<PathBuf>,
    /// Folder to write the pages to.
    pub out: PathBuf,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// Number of held-out questions for each measurement.
    pub questions: usize,
    /// Seed of sampling.
    pub seed: u64,
}
