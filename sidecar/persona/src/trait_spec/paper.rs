//! The JSON format of the paper's repository.

use super::{Contrast, TraitSpec, TraitSpecError};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
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

pub(super) fn parse(
    name: &str,
    description: &str,
    file: &str,
) -> Result<TraitSpec, TraitSpecError> {
    let file: File = serde_json::from_str(file)
        .map_err(|error| TraitSpecError::Unreadable(error.to_string()))?;
    let mut extract = file.questions;
    let held_out = extract.split_off(extract.len().div_ceil(2));
    Ok(TraitSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        instructions: file
            .instruction
            .into_iter()
            .map(|pair| Contrast { positive: pair.pos, negative: pair.neg })
            .collect(),
        extract,
        held_out,
        rubric: file.eval_prompt,
    })
}
