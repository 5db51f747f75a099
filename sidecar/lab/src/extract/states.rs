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

/// Writes sets of answers: for each an F32 tensor of its name, `[answer][layer from 0][hidden]`,
/// the mean over the answer's tokens; and as metadata entry of that name a JSON list that says of
/// each answer what it answers.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_states(path: &Path, sets: &[(&str, &Vec<Read>)]) -> anyhow::Result<()> {
    let mut entries = HashMap::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    for (name, reads) in sets {
        let answers: Vec<_> = reads.iter().map(describe).collect();
        entries.insert((*name).to_owned(), serde_json::to_string(&answers)?);
        let values = reads
            .iter()
            .flat_map(|read| read.states.response_mean.iter().flatten().copied())
            .collect();
        let first = reads.first().map(|read| &read.states.response_mean);
        let (rows, hidden) =
            first.map_or((0, 0), |rows| (rows.len(), rows.first().map_or(0, Vec::len)));
        tensors.push(((*name).to_owned(), vec![reads.len(), rows, hidden], values));
    }
    write_tensors(path, &tensors, entries)
}

/// Name, shape, values.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// Writes F32 tensors as safetensors, with metadata.
///
/// # Errors
/// If a shape is not that of its values, or the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[Tensor],
    metadata: HashMap<String, String>,
) -> anyhow::Result<()> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|((name, shape, _), data)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    write_file(path, &serialize(views, Some(metadata))?)
}

fn describe(read: &Read) -> serde_json::Value {
    match read.ask.purpose {
        Purpose::Extract(polarity, key) | Purpose::HeldOut(polarity, key) => json!({
            "positive": polarity == Polarity::Positive,
            "question": key.question,
            "pair": key.contrast,
            "rollout": key.rollout,
            "tokens": read.tokens.len(),
        }),
        Purpose::Benign(index) => json!({ "request": index, "tokens": read.tokens.len() }),
    }
}
