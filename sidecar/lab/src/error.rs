//! Why a command did not do what it was asked to.

use parquet::errors::ParquetError;
use personaguard_engine_link::NoStates;
use personaguard_model::{
    EngineError, LoadError, ScoreError, StartError, SubmitError, TemplateError, VectorError,
};
use personaguard_persona::{TraitSpecError, VectorFileError};
use safetensors::SafeTensorError;
use std::fmt;
use std::num::TryFromIntError;
use std::string::FromUtf8Error;

/// Why a command did not do what it was asked to. With its sources, it is a sentence for the person
/// who asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// What was given, or what it led to, cannot be used. The text says why, and what to do.
    #[error("{0}")]
    Unusable(String),
    /// An error, and what it concerns: a file, a line, a step.
    #[error("{about}")]
    About {
        /// What it concerns.
        about: String,
        /// The error.
        source: Box<LabError>,
    },
    /// A file or a socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An HTTP request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// Text is not UTF-8.
    #[error(transparent)]
    Utf8(#[from] FromUtf8Error),
    /// Text is not JSON, or not what it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A safetensors file cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] SafeTensorError),
    /// A parquet file cannot be written.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// A vector file cannot be read or written.
    #[error(transparent)]
    VectorFile(#[from] VectorFileError),
    /// A trait cannot be used.
    #[error(transparent)]
    Trait(#[from] TraitSpecError),
    /// A vector cannot be used with the model.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The engine cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The model's chat template refuses the messages.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The engine refuses a request.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// vLLM refuses a request.
    #[error("{0}")]
    Refused(String),
    /// The plugin in vLLM told no states.
    #[error(transparent)]
    NoStates(#[from] NoStates),
    /// The engine cannot score a response.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A number is too large.
    #[error(transparent)]
    Number(#[from] TryFromIntError),
    /// Text cannot be written.
    #[error(transparent)]
    Format(#[from] fmt::Error),
}

/// What the commands return.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Says what an error concerns, or what is missing.
pub(crate) trait Context<T> {
    /// The same, with what it concerns. For a missing value this is the whole error.
    fn context(self, about: &str) -> Result<T>;

    /// As [`Context::context`], for a text that takes work.
    fn with_context(self, about: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<LabError>> Context<T> for Result<T, E> {
    fn context(self, about: &str) -> Result<T> {
        self.with_context(|| about.to_owned())
    }

    fn with_context(self, about: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().about(about()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, about: &str) -> Result<T> {
        self.with_context(|| about.to_owned())
    }

    fn with_context(self, about: impl FnOnce() -> String) -> Result<T> {
        self.ok_or_else(|| LabError::Unusable(about()))
    }
}

impl LabError {
    /// The error and its causes, in one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        personaguard_terms::with_causes(self)
    }

    /// The same, with what it concerns.
    pub(crate) fn about(self, about: String) -> Self {
        Self::About { about, source: Box::new(self) }
    }
}

/// Returns [`LabError::Unusable`] from the function, with a formatted text.
macro_rules! bail {
    ($($text:tt)+) => {
        return Err($crate::error::LabError::Unusable(format!($($text)+)))
    };
}
pub(crate) use bail;

#[cfg(test)]
mod tests;
