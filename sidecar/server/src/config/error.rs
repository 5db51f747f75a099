//! Why a config folder is not applied.

use std::path::PathBuf;

/// Why a config folder is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{} could not be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is larger than any that belongs there.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// A file does not say what it should.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The files do not go together.
    #[error("{0}")]
    Rejected(String),
    /// The folder changed while it was read.
    #[error("the config folder keeps changing while it is read")]
    Unsteady,
}
