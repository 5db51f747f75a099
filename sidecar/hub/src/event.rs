//! What happens during a fetch.

use std::time::Duration;

/// What happens during a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another process fetches into the same folder; it is waited for.
    Waiting,
    /// The volume knows no locks, so that nothing keeps other processes from fetching into it.
    Unlocked,
    /// A file is continued where it broke off.
    Resumed {
        /// The file.
        file: String,
        /// Bytes that are there.
        done: u64,
    },
    /// More has arrived.
    Progress {
        /// Bytes of all files that are there.
        done: u64,
        /// Bytes of all files, if they are known.
        total: Option<u64>,
    },
    /// A request failed, and is repeated after a while.
    Retrying {
        /// What failed.
        why: String,
        /// The while.
        wait: Duration,
    },
}
