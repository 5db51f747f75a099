//! Why a replay fails.

use crate::audit::VerifyError;
use crate::config::ConfigError;
use personaguard_model::{LoadError, ScoreError, StartError, TemplateError, VectorError};

/// Why a replay fails.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The config folder cannot be used.
    #[error("the config folder cannot be used")]
    Config(#[source] ConfigError),
    /// The model cannot be used.
    #[error("the model of the config folder cannot be used")]
    Model(#[source] ScoringError),
    /// A log is not as it was written.
    #[error("a log is not as it was written")]
    Log(#[source] VerifyError),
    /// A line of the conversation log is no conversation.
    #[error(
        "an entry of the conversation log cannot be read: replay it with the version that wrote it"
    )]
    Entry(#[source] serde_json::Error),
    /// A response cannot be scored again.
    #[error("response {id} cannot be scored again")]
    Response {
        /// Its id.
        id: String,
        /// Why.
        source: ScoringError,
    },
    /// A score cannot be written, to be compared.
    #[error("a score cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    /// Scores are not those that were recorded.
    #[error(
        "{differing} of {compared} scores differ from what was recorded: the text was changed, or \
         other weights or vectors were in use than the log says"
    )]
    Differs {
        /// How many differ.
        differing: u32,
        /// How many were compared.
        compared: u32,
    },
    /// There is nothing to compare with.
    #[error("the audit log has none of these responses: give the log of the same time")]
    NothingRecorded,
}

/// Why a conversation cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoringError {
    /// The weights cannot be loaded.
    #[error("the weights cannot be loaded")]
    Load(#[source] LoadError),
    /// The engine cannot start.
    #[error("the engine cannot start")]
    Start(#[source] StartError),
    /// No runtime can be made.
    #[error("no runtime can be made")]
    Runtime(#[source] std::io::Error),
    /// It was recorded with other weights.
    #[error("it was recorded with other weights than {}…: replay it with those", &.digest[..12])]
    OtherWeights {
        /// Digest of the weights at hand.
        digest: String,
    },
    /// A vector that acted on it is missing.
    #[error(
        "the config folder lacks vector `{0}`, which acted on this response: replay it with the \
         folder of that time"
    )]
    VectorMissing(String),
    /// A vector does not fit the model.
    #[error("a vector of the config folder does not fit the model")]
    Vector(#[source] VectorError),
    /// Its messages do not fit the model's chat template.
    #[error("its messages cannot be written as a prompt")]
    Prompt(#[source] TemplateError),
    /// The engine fails.
    #[error("the engine cannot score it")]
    Engine(#[source] ScoreError),
}
