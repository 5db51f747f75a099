//! What an extraction Job tells the operator.

use serde::{Deserialize, Serialize};

/// How far an extraction Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionProgress {
    /// Answers generated.
    pub done: u32,
    /// Answers to generate.
    pub total: u32,
}
