//! Contrastive instructions.

use serde::{Deserialize, Serialize};

/// A pair of instructions that differ only in the trait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Asks for the trait.
    pub positive: String,
    /// Asks for its absence.
    pub negative: String,
}

/// Which side of a contrast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Asked to show the trait.
    Positive,
    /// Asked not to show it.
    Negative,
}

impl Polarity {
    /// Both polarities, positive first.
    pub const BOTH: [Self; 2] = [Self::Positive, Self::Negative];
}
