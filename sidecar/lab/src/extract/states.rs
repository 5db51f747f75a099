//! Mean activations of every answer as a file, to compute with them elsewhere.

use super::request::Purpose;
use super::scored_answer::ScoredAnswer;
use crate::error::Result;
use crate::files::{Tensor, write_tensors};
use personaguard_persona::Polarity;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Writes sets of answers. Each becomes an F32 tensor of its name, shape `[answer][layer][hidden]`
/// from layer 0, with the means over the answers' tokens; and a metadata entry of its name, a JSON
/// list that says what each answer answers.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_states(path: &Path, sets: &[(&str, &[ScoredAnswer])]) -> Result<()> {
    let mut entries = HashMap::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (name, answers) in sets {
        let descriptions: Vec<_> = answers.iter().map(describe).collect();
        entries.insert((*name).to_owned(), serde_json::to_string(&descriptions)?);
        let first = answers.first().map(|answer| &answer.states.response_mean);
        let (rows, hidden) =
            first.map_or((0, 0), |rows| (rows.len(), rows.first().map_or(0, Vec::len)));
        tensors.push(Tensor {
            name: (*name).to_owned(),
            shape: vec![answers.len(), rows, hidden],
            values: answers
                .iter()
                .flat_map(|answer| answer.states.response_mean.concat())
                .collect(),
        });
    }
    write_tensors(path, &tensors, entries)
}

fn describe(answer: &ScoredAnswer) -> Value {
    let tokens = answer.tokens.len();
    match answer.request.purpose {
        Purpose::Extract(polarity, key) | Purpose::HeldOut(polarity, key) => json!({
            "positive": polarity == Polarity::Positive,
            "question": key.question,
            "contrast": key.contrast,
            "rollout": key.rollout,
            "tokens": tokens,
        }),
        Purpose::Benign(index) => json!({ "request": index, "tokens": tokens }),
    }
}
