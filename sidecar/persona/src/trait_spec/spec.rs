//! A trait that is ready to be extracted.

use super::contrast::{Contrast, Polarity};
use super::error::TraitSpecError;
use serde::{Deserialize, Serialize};

/// A trait that is ready to be extracted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraitSpec {
    /// Name of the trait, such as `evil`: an adjective, and a DNS label.
    pub name: String,
    /// Description of the trait in plain words.
    pub description: String,
    /// Contrastive instructions.
    pub instructions: Vec<Contrast>,
    /// Questions whose answers make the vector.
    pub extract: Vec<String>,
    /// Questions whose answers only validate it.
    pub held_out: Vec<String>,
    /// How a judge rates how much an answer shows the trait, 0 to 100.
    pub rubric: String,
}

/// Size of the largest trait file that is read, in bytes.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;
/// Length of the longest instruction, question or description, in characters.
const MAX_TEXT_CHARS: usize = 4000;

impl TraitSpec {
    /// Parses a trait file of this project (YAML).
    ///
    /// # Errors
    /// If it does not parse, or something is missing, empty or too long.
    pub fn parse(file: &str) -> Result<Self, TraitSpecError> {
        if file.len() > MAX_FILE_BYTES {
            return Err(TraitSpecError::Invalid(format!("has more than {MAX_FILE_BYTES} bytes")));
        }
        let spec: Self = serde_saphyr::from_str(file)
            .map_err(|error| TraitSpecError::Unreadable(error.to_string()))?;
        spec.checked()
    }

    /// Writes a file that [`TraitSpec::parse`] reads.
    ///
    /// # Errors
    /// If a text cannot be written as YAML, which does not happen for a checked trait.
    pub fn to_yaml(&self) -> Result<String, TraitSpecError> {
        serde_saphyr::to_string(self).map_err(|error| TraitSpecError::Unreadable(error.to_string()))
    }

    /// The system prompt of one side of a contrast, as in the paper: `You are a[n] {name}
    /// assistant. {instruction}`, with `helpful` in place of the name on the negative side.
    #[must_use]
    pub fn system_prompt(&self, contrast: &Contrast, polarity: Polarity) -> String {
        let (name, instruction) = match polarity {
            Polarity::Positive => (self.name.as_str(), &contrast.positive),
            Polarity::Negative => ("helpful", &contrast.negative),
        };
        let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("You are {article} {name} assistant. {instruction}")
    }

    /// The trait itself, if it is complete and usable.
    pub(super) fn checked(self) -> Result<Self, TraitSpecError> {
        self.check().map_err(TraitSpecError::Invalid)?;
        Ok(self)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > 63 {
            return Err("needs a name of 1 to 63 characters".to_owned());
        }
        for (field, questions) in [("extract", &self.extract), ("held_out", &self.held_out)] {
            if !(2..=1000).contains(&questions.len()) {
                return Err(format!(
                    "has {} {field} questions; 2 to 1000 are needed",
                    questions.len()
                ));
            }
        }
        if !(1..=100).contains(&self.instructions.len()) {
            return Err(format!(
                "has {} instruction pairs; 1 to 100 are needed",
                self.instructions.len()
            ));
        }
        let shared = self.extract.iter().find(|question| self.held_out.contains(question));
        if let Some(shared) = shared {
            let shared: String = shared.chars().take(80).collect();
            return Err(format!(
                "has the question {shared:?} in both lists: the vector would be validated on what \
                 it was made from"
            ));
        }
        let instructions =
            self.instructions.iter().flat_map(|contrast| [&contrast.positive, &contrast.negative]);
        let mut texts = self
            .extract
            .iter()
            .chain(&self.held_out)
            .chain(instructions)
            .chain([&self.description]);
        if texts.any(|text| text.trim().is_empty() || text.chars().count() > MAX_TEXT_CHARS) {
            return Err(format!(
                "has a text that is empty or longer than {MAX_TEXT_CHARS} characters"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
