//! Writing a vector file.

use super::error::VectorFileError;
use super::file::VectorFile;
use super::metadata::ENTRY;
use crate::f32_tensors::to_bytes;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, serialize};
use std::collections::HashMap;

impl VectorFile {
    /// Writes the file. Equal vectors give equal bytes.
    ///
    /// # Errors
    /// If the metadata cannot be serialised, which does not happen for a checked file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VectorFileError> {
        let unwritable = |error: SafeTensorError| VectorFileError::Unreadable(error.to_string());
        let entry = serde_json::to_string(self.metadata())
            .map_err(|error| VectorFileError::Metadata(error.to_string()))?;
        let matrices = [
            ("prompt_avg", self.prompt_avg()),
            ("prompt_last", self.prompt_last()),
            ("response_avg", Some(self.response_avg())),
        ];
        let tensors: Vec<_> = matrices
            .into_iter()
            .filter_map(|(name, matrix)| {
                let matrix = matrix?;
                let shape = vec![matrix.layers() as usize + 1, matrix.hidden()];
                Some((name, shape, to_bytes(matrix.values())))
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(name, shape, data)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.clone(), data).map_err(unwritable)?))
            })
            .collect::<Result<Vec<_>, VectorFileError>>()?;
        serialize(views, Some(HashMap::from([(ENTRY.to_owned(), entry)]))).map_err(unwritable)
    }
}
