//! Reading a vector file.

use super::error::VectorFileError;
use super::file::VectorFile;
use super::limits::MAX_FILE_BYTES;
use super::metadata::ENTRY;
use super::validate::check_shape;
use crate::f32_tensors::{open, values};
use crate::layer_matrix::LayerMatrix;
use safetensors::SafeTensors;

impl VectorFile {
    /// Reads and checks a file, which may come from anyone.
    ///
    /// # Errors
    /// If the file differs in any way from what [`VectorFile::to_bytes`] writes.
    pub fn parse(file: &[u8]) -> Result<Self, VectorFileError> {
        if file.len() > MAX_FILE_BYTES {
            return Err(VectorFileError::TooLarge(file.len()));
        }
        let tensors = open(file).map_err(VectorFileError::Unreadable)?;
        let (_, header) = SafeTensors::read_metadata(file)
            .map_err(|error| VectorFileError::Unreadable(error.to_string()))?;
        let entry = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(ENTRY))
            .ok_or(VectorFileError::NoMetadata)?;
        let metadata = serde_json::from_str(entry)
            .map_err(|error| VectorFileError::Metadata(error.to_string()))?;
        let response_avg = matrix(&tensors, "response_avg")?.ok_or_else(|| {
            VectorFileError::Tensor { name: "response_avg", problem: "is missing".to_owned() }
        })?;
        Self::new(
            metadata,
            response_avg,
            matrix(&tensors, "prompt_avg")?,
            matrix(&tensors, "prompt_last")?,
        )
    }
}

fn matrix(
    tensors: &SafeTensors<'_>,
    name: &'static str,
) -> Result<Option<LayerMatrix>, VectorFileError> {
    let fail = |problem| VectorFileError::Tensor { name, problem };
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    let &[rows, hidden] = tensor.shape() else {
        return Err(fail(format!("has shape {:?}, not [layers + 1, hidden]", tensor.shape())));
    };
    check_shape(name, rows, hidden)?;
    Ok(LayerMatrix::from_flat(hidden, values(&tensor).map_err(fail)?))
}
