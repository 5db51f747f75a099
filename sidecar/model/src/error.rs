//! Why a model was not loaded.

use std::path::PathBuf;

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no file or folder at the path.
    #[error(
        "{} does not exist: check the path, and that the volume with the weights is mounted",
        path.display()
    )]
    NotFound {
        /// The path that was given.
        path: PathBuf,
    },
    /// The operating system could not read the file.
    #[error("{} could not be read", path.display())]
    Io {
        /// The file that could not be read.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The weights are not those that were expected.
    #[error(
        "the weights have SHA-256 {found}, expected {expected}: these are other files, or another \
         version of them; give those that were meant, or correct the digest if the change was \
         intended"
    )]
    DigestMismatch {
        /// [`crate::LoadOptions::expected_sha256`], in lower case.
        expected: String,
        /// Digest of the weights that were read.
        found: String,
    },
    /// Bytes are missing.
    #[error("the model's files are not whole: {what}; fetch what is missing again")]
    Incomplete {
        /// What is missing.
        what: String,
    },
    /// A file violates its format.
    #[error("the model's files are not valid: {what}")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// The files may be valid, but this engine cannot run them.
    #[error("this model is not supported: {what}")]
    Unsupported {
        /// The feature that is missing here.
        what: String,
    },
    /// The chat template cannot be used.
    #[error("the model's chat template cannot be used: {what}")]
    Template {
        /// What failed, and why.
        what: String,
    },
    /// A load option is out of range or does not fit the model.
    #[error("{what}")]
    Options {
        /// What is wrong, and what to give instead.
        what: String,
    },
}

impl LoadError {
    pub(crate) fn incomplete(what: impl Into<String>) -> Self {
        Self::Incomplete { what: what.into() }
    }

    /// A file violates its format, and nothing better can be done than to make it anew.
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what: format!(
                "{what}; make the files again, or take them from where they were published"
            ),
        }
    }

    /// A file is another than it should be; `what` says what to do.
    pub(crate) fn foreign(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    /// The files ask for something that this engine does not do, as other models do not.
    pub(crate) fn beyond(what: impl std::fmt::Display) -> Self {
        Self::Unsupported {
            what: format!("{what}; take a model without it: docs/weights.md lists what is read"),
        }
    }

    pub(crate) fn template(what: impl Into<String>) -> Self {
        Self::Template { what: what.into() }
    }

    pub(crate) fn options(what: impl Into<String>) -> Self {
        Self::Options { what: what.into() }
    }
}
