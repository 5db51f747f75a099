//! Why a file cannot be imported.

use crate::error::LabError;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("the {format} file cannot be imported: {problem}")]
pub(super) struct ImportError {
    format: &'static str,
    problem: String,
}

impl ImportError {
    pub(super) fn new(format: &'static str, problem: impl Into<String>) -> Self {
        Self { format, problem: problem.into() }
    }
}

impl From<ImportError> for LabError {
    fn from(error: ImportError) -> Self {
        Self::Unusable(error.to_string())
    }
}
