//! F32 tensors as safetensors files.

use super::bytes::write_file;
use crate::error::Result;
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensorError};
use std::collections::HashMap;
use std::path::Path;

/// A named F32 tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, in row-major order.
    pub values: Vec<f32>,
}

/// Writes tensors as a safetensors file, with metadata entries in its header.
///
/// # Errors
/// If the values of a tensor do not fit its shape, or the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[Tensor],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|(tensor, data)| {
            Ok((tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), data)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    write_file(path, &serialize(views, Some(metadata))?)
}
