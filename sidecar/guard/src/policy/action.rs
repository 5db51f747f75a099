//! What is done about a trait.

use serde::Serialize;

/// What to do about a trait, in rising order of intrusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Action {
    /// Record the score.
    Audit,
    /// On a breach, also tell people.
    Alert,
    /// Add the vector, times a coefficient, to the activations.
    Steer,
    /// Keep the projection of the activations between a floor and a ceiling.
    Cap,
    /// Write a breaching response again, steered; send the attempt that scores best.
    Regenerate,
    /// Replace the first breaching sentence and everything after it by a text.
    Redact,
    /// Stop the response at the breach.
    Block,
}

impl Action {
    /// Whether tokens wait for a decision before they leave.
    #[must_use]
    pub fn holds_back(self) -> bool {
        self >= Self::Regenerate
    }

    /// Whether a breach cuts the response.
    #[must_use]
    pub fn cuts(self) -> bool {
        self >= Self::Redact
    }

    /// The name, as in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Alert => "Alert",
            Self::Steer => "Steer",
            Self::Cap => "Cap",
            Self::Regenerate => "Regenerate",
            Self::Redact => "Redact",
            Self::Block => "Block",
        }
    }
}
