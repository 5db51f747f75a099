//! What every reader of a safetensors file here checks: size, F32, finite values.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Longest header that is parsed, in bytes.
const MAX_HEADER: u64 = 16 << 20;

/// The tensors of a file, or in one sentence why it cannot be read.
pub(crate) fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    let header = bytes
        .first_chunk::<8>()
        .map(|length| u64::from_le_bytes(*length))
        .ok_or("it is shorter than a header")?;
    if header > MAX_HEADER {
        return Err(format!(
            "its header of {header} bytes is longer than the {MAX_HEADER} that are read"
        ));
    }
    SafeTensors::deserialize(bytes).map_err(|error| error.to_string())
}

/// The values of an F32 tensor.
pub(crate) fn values(tensor: &TensorView<'_>) -> Result<Vec<f32>, String> {
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("is {}, not F32", tensor.dtype()));
    }
    let values: Vec<f32> =
        tensor.data().as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!("has a value that is not a finite number, at position {index}")),
        None => Ok(values),
    }
}

/// F32 values as they stand in a file.
pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
