//! Why a file cannot be imported.

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("the {format} file cannot be imported: {problem}")]
pub struct ImportError {
    format: &'static str,
    problem: String,
}

impl ImportError {
    pub(super) fn new(format: &'static str, problem: impl Into<String>) -> Self {
        Self { format, problem: problem.into() }
    }
}
