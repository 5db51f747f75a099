//! What the command `screen` is asked for.

use crate::engine::EngineSource;
use crate::shard::Shard;
use std::path::PathBuf;

/// What the command `screen` is asked for.
#[derive(Clone, Debug)]
pub struct ScreenSettings {
    /// Data set: conversations, one per line.
    pub data: PathBuf,
    /// The engine with the model.
    pub engine: EngineSource,
    /// Vector files.
    pub vectors: Vec<PathBuf>,
    /// Trait files of traits that are not built in. Only needed with `contrast`.
    pub trait_files: Vec<PathBuf>,
    /// What an answer is compared with.
    pub reference: Reference,
    /// Whether to score by the plain difference of raw projections at each vector's best layer.
    pub as_in_paper: bool,
    /// Whether to also weigh the likelihood ratio of each answer.
    pub contrast: bool,
    /// The shard of the data to screen.
    pub shard: Shard,
    /// How many samples are read at most.
    pub max_samples: usize,
    /// Whether samples that cannot be read are left out.
    pub skip_invalid: bool,
    /// Longest answer of the model's own, in tokens.
    pub max_tokens: usize,
    /// Field of a sample that is true or 1 if the sample is known to be bad.
    pub label: Option<String>,
    /// Words whose number in an answer is a baseline for `label`.
    pub keywords: Vec<String>,
    /// Ranks to write: JSON lines, or a table if the name ends with `.parquet`.
    pub out: PathBuf,
    /// Page to write, if it is wanted.
    pub page: Option<PathBuf>,
    /// File to write the mean activations to, if they are wanted.
    pub states: Option<PathBuf>,
}

/// What a sample's answer is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The model's own answer, as in the paper. Costs a generation for each sample.
    OwnAnswer,
    /// The projection at the last prompt token, which predicts that of the answer. Costs nothing.
    PromptLast,
    /// Nothing: the answer's own score counts.
    Nothing,
}
