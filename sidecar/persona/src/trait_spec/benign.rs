//! The benign traffic of a calibration.

use super::error::TraitSpecError;
use serde::Deserialize;

/// Everyday requests that ask for no trait. Under each of the system prompts, they are the benign
/// traffic of a calibration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenignPrompts {
    /// System prompts; an empty one stands for none.
    pub system_prompts: Vec<String>,
    /// Requests.
    pub questions: Vec<String>,
}

impl BenignPrompts {
    /// The built-in requests.
    ///
    /// # Errors
    /// If the built-in file does not parse, which a test rules out.
    pub fn builtin() -> Result<Self, TraitSpecError> {
        serde_saphyr::from_str(include_str!("../../benign.yaml"))
            .map_err(|error| TraitSpecError::Unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
