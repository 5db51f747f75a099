//! The mean activations of every answer, for those who want to compute with them elsewhere.

use super::open::write_file;
use super::plan::Purpose;
use super::responder::Read;
use personaguard_persona::Polarity;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// Writes sets of answers: for each an F32 tensor of its name, `[answer][layer from 0][hidden]`, the mean over the
/// answer's tokens; and as metadata entry of that name a JSON list that says of each answer what it answers.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_states(path: &Path, sets: &[(&str, &Vec<Read>)]) -> anyhow::Result<()> {
    let mut entries = HashMap::new();
    let mut tensors = Vec::new();
    for (name, reads) in sets {
        let answers: Vec<_> = reads.iter().map(describe).collect();
        entries.insert((*name).to_owned(), serde_json::to_string(&answers)?);
        let values: Vec<u8> = reads
            .iter()
            .flat_map(|read| read.states.response_mean.iter().flatten())
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let first = reads.first().map(|read| &read.states.response_mean);
        let (rows, hidden) = first.map_or((0, 0), |rows| (rows.len(), rows.first().map_or(0, Vec::len)));
        tensors.push((*name, vec![reads.len(), rows, hidden], values));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, values)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), values)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    write_file(path, &serialize(views, Some(entries))?)
}

fn describe(read: &Read) -> serde_json::Value {
    match read.ask.purpose {
        Purpose::Extract(polarity, key) | Purpose::HeldOut(polarity, key) => json!({
            "positive": polarity == Polarity::Positive,
            "question": key.question,
            "pair": key.pair,
            "rollout": key.rollout,
            "tokens": read.tokens.len(),
        }),
        Purpose::Benign(index) => json!({ "request": index, "tokens": read.tokens.len() }),
    }
}
