//! Trait files of the paper's repository (JSON).

use super::contrast::Contrast;
use super::error::TraitSpecError;
use super::spec::{MAX_FILE_BYTES, TraitSpec};
use serde::Deserialize;

#[derive(Deserialize)]
struct PaperTrait {
    instruction: Vec<Pair>,
    questions: Vec<String>,
    #[serde(default)]
    eval_prompt: String,
}

#[derive(Deserialize)]
struct Pair {
    pos: String,
    neg: String,
}

impl TraitSpec {
    /// Parses a trait file of the paper's repository: JSON with `instruction: [{pos, neg}]`,
    /// `questions` and `eval_prompt`. The first half of the questions extracts the vector, the
    /// second half is held out.
    ///
    /// # Errors
    /// As [`TraitSpec::parse`].
    pub fn parse_paper(name: &str, description: &str, file: &str) -> Result<Self, TraitSpecError> {
        if file.len() > MAX_FILE_BYTES {
            return Err(TraitSpecError::Invalid(format!("has more than {MAX_FILE_BYTES} bytes")));
        }
        let PaperTrait { instruction, questions: mut extract, eval_prompt } =
            serde_json::from_str(file)
                .map_err(|error| TraitSpecError::Unreadable(error.to_string()))?;
        let held_out = extract.split_off(extract.len().div_ceil(2));
        let spec = Self {
            name: name.to_owned(),
            description: description.to_owned(),
            instructions: instruction
                .into_iter()
                .map(|Pair { pos, neg }| Contrast { positive: pos, negative: neg })
                .collect(),
            extract,
            held_out,
            rubric: eval_prompt,
        };
        spec.checked()
    }
}

#[cfg(test)]
mod tests;
