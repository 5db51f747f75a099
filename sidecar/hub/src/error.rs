//! Why a model was not fetched.

use personaguard_model::LoadError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a model was not fetched. With its sources, it says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such repository, revision or file.
    #[error("{0}")]
    NotFound(String),
    /// The hub does not give it, now and later.
    #[error("{0}")]
    Refused(String),
    /// The files are not those that were expected.
    #[error("{0}")]
    Digest(String),
    /// The files are something that cannot be served.
    #[error("{0}")]
    Unusable(String),
    /// The files were fetched, and cannot be served.
    #[error("what was fetched cannot be served")]
    Model(#[source] LoadError),
    /// There is too little room.
    #[error("{0}")]
    NoSpace(String),
    /// The folder cannot be written or read.
    #[error("{} cannot be {doing}{hint}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was to be done with it, as a participle.
        doing: &'static str,
        /// What to do about it, after a colon, if that is known.
        hint: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The hub cannot be reached, or fails. It may be well later.
    #[error("{what}")]
    Unavailable {
        /// What failed.
        what: String,
        /// For how long the hub asks to be left alone, if it says so.
        wait: Option<Duration>,
        /// The reason, if there is another.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl FetchError {
    /// Whether it may be well later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(what: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into(), wait: None, source: None }
    }

    pub(crate) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return Self::NoSpace(format!(
                "the disk is full: {} cannot be {doing}; make room, or take a larger volume \
                 (sizeLimit of source.hub)",
                path.display()
            ));
        }
        let hint = match source.kind() {
            ErrorKind::PermissionDenied => {
                ": let the user that it runs as write there, for a claim by fsGroup"
            }
            ErrorKind::ReadOnlyFilesystem => ": mount the volume for writing",
            _ => "",
        };
        Self::Io { path: path.to_owned(), doing, hint, source }
    }
}
