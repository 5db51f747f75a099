//! `vectors.safetensors` of a sidecar's config folder: one raw vector of shape `[hidden]` for each
//! `PersonaVector`.

use crate::safetensors_view::{bytes, open, values};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};
use std::collections::BTreeMap;

/// Vectors that one file holds at most.
const MAX_VECTORS: usize = 1024;

/// A file of layers that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayersFileError {
    /// Not a safetensors file.
    #[error("this is not a safetensors file that can be read: {0}")]
    Unreadable(String),
    /// More vectors than a sidecar takes.
    #[error("the file holds {0} vectors; at most {MAX_VECTORS} are read")]
    TooMany(usize),
    /// A tensor of another type or shape, or with values that are no numbers.
    #[error("vector {name:?} {problem}")]
    Tensor {
        /// Name of the vector.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The file, with vectors in order of their names: equal vectors give equal bytes.
///
/// # Errors
/// If there are too many vectors, or one is empty or holds a value that is not finite.
pub fn write_layers(vectors: &BTreeMap<String, &[f32]>) -> Result<Vec<u8>, LayersFileError> {
    check_count(vectors.len())?;
    let mut tensors = Vec::with_capacity(vectors.len());
    for (name, vector) in vectors {
        if vector.is_empty() || vector.iter().any(|value| !value.is_finite()) {
            let problem = "is empty or holds a value that is not a finite number".to_owned();
            return Err(LayersFileError::Tensor { name: name.clone(), problem });
        }
        tensors.push((name, vec![vector.len()], bytes(vector)));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, LayersFileError>>()?;
    Ok(serialize(views, None)?)
}

/// The vectors of a file that [`write_layers`] made.
///
/// # Errors
/// If it is no safetensors file, or a tensor is not a non-empty F32 vector of finite values.
pub fn read_layers(file: &[u8]) -> Result<BTreeMap<String, Vec<f32>>, LayersFileError> {
    let tensors = open(file).map_err(LayersFileError::Unreadable)?;
    check_count(tensors.len())?;
    tensors
        .iter()
        .map(|(name, tensor)| {
            let fail = |problem| LayersFileError::Tensor { name: name.to_owned(), problem };
            if tensor.shape().len() != 1 || tensor.shape() == [0] {
                return Err(fail(format!("has shape {:?}, not [hidden]", tensor.shape())));
            }
            Ok((name.to_owned(), values(&tensor).map_err(fail)?))
        })
        .collect()
}

fn check_count(count: usize) -> Result<(), LayersFileError> {
    if count > MAX_VECTORS { Err(LayersFileError::TooMany(count)) } else { Ok(()) }
}

impl From<SafeTensorError> for LayersFileError {
    fn from(error: SafeTensorError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(vectors in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(-1e6_f32..1e6, 1..50), 0..6)) {
            let borrowed = vectors.iter().map(|(name, vector)| (name.clone(), vector.as_slice())).collect();
            let file = write_layers(&borrowed).unwrap();
            prop_assert_eq!(&file, &write_layers(&borrowed).unwrap());
            prop_assert_eq!(read_layers(&file).unwrap(), vectors);
        }

        #[test]
        fn hostile_bytes_never_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_layers(&file);
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        assert!(
            write_layers(&BTreeMap::from([("evil".to_owned(), [f32::NAN].as_slice())])).is_err()
        );
        let mut file =
            write_layers(&BTreeMap::from([("evil".to_owned(), [1.0].as_slice())])).unwrap();
        let end = file.len();
        file[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let message = read_layers(&file).unwrap_err().to_string();
        assert!(message.contains("not a finite number"), "{message}");
    }
}
