//! Plain safetensors files.

use super::error::ImportError;
use super::flat::matrix;
use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::{open, values};

/// Imports a safetensors file that holds the vectors as one F32 tensor of shape
/// `[layers + 1, hidden]`: its only tensor, or the one named `response_avg`.
///
/// # Errors
/// If there is no such tensor, or a value is not finite.
pub(super) fn import_safetensors(file: &[u8]) -> Result<LayerMatrix, ImportError> {
    let fail = |problem: String| ImportError::new("safetensors", problem);
    let tensors = open(file).map_err(fail)?;
    let names = tensors.names();
    let name = match names.as_slice() {
        [only] => only,
        _ => "response_avg",
    };
    let tensor = tensors.tensor(name).map_err(|_| {
        fail(
            "it has several tensors, none of them named response_avg: keep only the one of shape \
             [layers + 1, hidden]"
                .to_owned(),
        )
    })?;
    let &[rows, hidden] = tensor.shape() else {
        let problem =
            format!("its tensor has shape {:?}, not [layers + 1, hidden]", tensor.shape());
        return Err(fail(problem));
    };
    let values = values(&tensor).map_err(|problem| fail(format!("its tensor {problem}")))?;
    matrix(rows, hidden, &values).map_err(fail)
}

#[cfg(test)]
mod tests;
