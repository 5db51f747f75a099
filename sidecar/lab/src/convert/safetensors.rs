//! Plain safetensors files.

use super::error::ImportError;
use super::found::{Float, Found};
use personaguard_persona::f32_tensors::open;
use safetensors::Dtype;

/// The tensors of a safetensors file, in the order of their names.
///
/// # Errors
/// If it is none.
pub(super) fn safetensors(file: &[u8]) -> Result<Vec<Found>, ImportError> {
    let tensors = open(file).map_err(|problem| ImportError::new("safetensors", problem))?;
    let mut found: Vec<Found> = tensors
        .iter()
        .map(|(name, tensor)| {
            let float = match tensor.dtype() {
                Dtype::F16 => Ok(Float::F16),
                Dtype::BF16 => Ok(Float::Bf16),
                Dtype::F32 => Ok(Float::F32),
                Dtype::F64 => Ok(Float::F64),
                other => Err(format!("is {other}: save it as F32, with tensor.float()")),
            };
            Found {
                name: name.to_owned(),
                shape: tensor.shape().to_vec(),
                values: float.map(|float| float.widen(tensor.data())),
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests;
