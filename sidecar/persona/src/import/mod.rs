//! Vectors from elsewhere, and to there: the paper's `.pt` files, plain safetensors, and GGUF
//! control vectors as repeng and llama.cpp use them.

mod gguf;
mod pickle;
mod torch;

pub use gguf::{export_gguf, import_gguf};
pub use torch::import_torch;

use crate::safetensors_view::{open, values};
use crate::vector_file::LayerMatrix;

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("the {format} file cannot be imported: {problem}")]
pub struct ImportError {
    format: &'static str,
    problem: String,
}

impl ImportError {
    fn new(format: &'static str, problem: impl Into<String>) -> Self {
        Self { format, problem: problem.into() }
    }
}

/// Bytes of a file that are read at most.
const MAX_FILE: usize = crate::vector_file::Limits::FILE;

/// A safetensors file with one F32 tensor `[layers + 1, hidden]`, or several of which one is named
/// `response_avg`.
///
/// # Errors
/// If there is no such tensor.
pub fn import_safetensors(file: &[u8]) -> Result<LayerMatrix, ImportError> {
    let fail = |problem: String| ImportError::new("safetensors", problem);
    let tensors = open(file).map_err(fail)?;
    let names = tensors.names();
    let name = match names.as_slice() {
        [only] => only,
        _ => "response_avg",
    };
    let tensor = tensors.tensor(name).map_err(|_| {
        fail(
            "it holds several tensors and none is named response_avg: keep the one of shape [layers + 1, hidden]"
                .to_owned(),
        )
    })?;
    let &[rows, hidden] = tensor.shape() else {
        return Err(fail(format!(
            "its tensor has shape {:?}, not [layers + 1, hidden]",
            tensor.shape()
        )));
    };
    matrix(
        "safetensors",
        rows,
        hidden,
        &values(&tensor).map_err(|problem| fail(format!("its tensor {problem}")))?,
    )
}

/// Rows of a flat tensor, checked.
fn matrix(
    format: &'static str,
    rows: usize,
    hidden: usize,
    values: &[f32],
) -> Result<LayerMatrix, ImportError> {
    let fail = |problem: String| ImportError::new(format, problem);
    if hidden == 0 || rows.checked_mul(hidden) != Some(values.len()) {
        return Err(fail(format!(
            "its shape [{rows}, {hidden}] does not fit its {} values",
            values.len()
        )));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(fail("it holds values that are not finite numbers".to_owned()));
    }
    let rows: Vec<Vec<f32>> = values.chunks_exact(hidden).map(<[f32]>::to_vec).collect();
    LayerMatrix::from_rows(&rows)
        .ok_or_else(|| fail("it needs an embedding row and at least one layer".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    #[test]
    fn a_plain_safetensors_matrix() {
        let data = crate::safetensors_view::bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let view = TensorView::new(Dtype::F32, vec![3, 2], &data).unwrap();
        let file = safetensors::serialize([("anything", view)], None).unwrap();
        let matrix = import_safetensors(&file).unwrap();
        assert_eq!((matrix.layers(), matrix.layer(1)), (2, Some([3.0, 4.0].as_slice())));
        assert!(import_safetensors(b"no").is_err());
    }
}
