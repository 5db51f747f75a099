//! `vectors.safetensors` in a sidecar's config folder: the raw vector of each `PersonaVector` at
//! its layer, an F32 tensor of shape `[hidden]` named after it.

use crate::f32_tensors::{check_finite, open, to_bytes, values};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};
use std::collections::BTreeMap;

/// How many vectors a bundle holds at most.
const MAX_VECTORS: usize = 1024;

/// A vector bundle that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VectorBundleError {
    /// It is not a safetensors file.
    #[error("this is not a readable safetensors file: {0}")]
    Unreadable(String),
    /// It has more vectors than a sidecar accepts.
    #[error("the file holds {0} vectors; the limit is {MAX_VECTORS}")]
    TooMany(usize),
    /// A tensor has another type or shape, or values that are not finite.
    #[error("vector {name:?} {problem}")]
    Tensor {
        /// Name of the vector.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Writes a bundle. Vectors are in order of their names, so equal vectors give equal bytes.
///
/// # Errors
/// If there are too many vectors, or one is empty or holds a value that is not finite.
pub fn write_vector_bundle(
    vectors: &BTreeMap<String, &[f32]>,
) -> Result<Vec<u8>, VectorBundleError> {
    check_count(vectors.len())?;
    let mut tensors = Vec::with_capacity(vectors.len());
    for (name, vector) in vectors {
        let fail = |problem| VectorBundleError::Tensor { name: name.clone(), problem };
        if vector.is_empty() {
            return Err(fail("is empty".to_owned()));
        }
        check_finite(vector).map_err(fail)?;
        tensors.push((name, vec![vector.len()], to_bytes(vector)));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, VectorBundleError>>()?;
    Ok(serialize(views, None)?)
}

/// Reads a bundle: raw vectors by name, each of shape `[hidden]`.
///
/// # Errors
/// If it is not a safetensors file, or a tensor is not a non-empty F32 vector of finite values.
pub fn read_vector_bundle(file: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, VectorBundleError> {
    let tensors = open(file).map_err(VectorBundleError::Unreadable)?;
    check_count(tensors.len())?;
    tensors
        .iter()
        .map(|(name, tensor)| {
            let fail = |problem| VectorBundleError::Tensor { name: name.to_owned(), problem };
            if tensor.shape().len() != 1 || tensor.shape() == [0] {
                return Err(fail(format!("has shape {:?}, not [hidden]", tensor.shape())));
            }
            Ok((name.to_owned(), values(&tensor).map_err(fail)?))
        })
        .collect()
}

fn check_count(count: usize) -> Result<(), VectorBundleError> {
    if count > MAX_VECTORS { Err(VectorBundleError::TooMany(count)) } else { Ok(()) }
}

impl From<SafeTensorError> for VectorBundleError {
    fn from(error: SafeTensorError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[cfg(test)]
mod tests;
