//! F32 tensors in safetensors files: the checks that every reader here makes, and the byte layout.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

/// Longest safetensors header that is parsed, in bytes.
const MAX_HEADER: u64 = 16 << 20;

/// Opens a safetensors file.
///
/// # Errors
/// A sentence that says why the file cannot be read, such as a header longer than 16 MiB.
pub fn open(file: &[u8]) -> Result<SafeTensors<'_>, String> {
    let header = file
        .first_chunk::<8>()
        .map(|length| u64::from_le_bytes(*length))
        .ok_or("it is shorter than a safetensors header: bytes are missing")?;
    if header > MAX_HEADER {
        return Err(format!("its header has {header} bytes; the limit is {MAX_HEADER}"));
    }
    SafeTensors::deserialize(file).map_err(|error| match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            "it is not as long as its header says: bytes are missing, or too many".to_owned()
        }
        other => other.to_string(),
    })
}

/// The values of a tensor, in row-major order.
///
/// # Errors
/// If the tensor is not F32, or a value is infinite or NaN. The message continues a sentence whose
/// subject is the tensor.
pub fn values(tensor: &TensorView<'_>) -> Result<Vec<f32>, String> {
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("is {}, not F32", tensor.dtype()));
    }
    let values = from_bytes(tensor.data());
    check_finite(&values)?;
    Ok(values)
}

/// Checks that all values are finite.
///
/// # Errors
/// As [`values`], with the position of the first value that is not.
pub fn check_finite(values: &[f32]) -> Result<(), String> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!("has a value that is not a finite number, at position {index}")),
        None => Ok(()),
    }
}

/// F32 values from their little-endian bytes; an incomplete value at the end is dropped.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// F32 values as little-endian bytes.
#[must_use]
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
