//! Where a sidecar's audit log stands: an anchor outside the pod.

use crate::invalid::Invalid;
use crate::limits::MAX_COUNT;
use personaguard_terms::Digest;
use serde::{Deserialize, Serialize};

/// Where a sidecar's audit log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditLog {
    /// The line that this process continued after; 0 where it began the log.
    pub opened: LogHead,
    /// The last line on disk.
    pub head: LogHead,
    /// Gaps that the log tells of.
    pub gaps: u64,
}

/// A line of a log: with it, whatever came before is fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogHead {
    /// Number of the line, from 1; 0 for an empty log.
    pub sequence: u64,
    /// Hash of the line.
    pub hash: Digest,
}

impl AuditLog {
    /// Checks that a process only adds lines.
    ///
    /// # Errors
    /// If no sidecar would send it.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Self { opened, head, gaps } = self;
        let same = opened.sequence < head.sequence || opened == head;
        if same && head.sequence <= MAX_COUNT && *gaps <= MAX_COUNT {
            Ok(())
        } else {
            Err(Invalid::AuditLog)
        }
    }
}
