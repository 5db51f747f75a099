//! Matrices from flat tensors.

use personaguard_persona::LayerMatrix;
use personaguard_persona::f32_tensors::check_finite;

/// A matrix from the row-major values of a tensor of shape `[rows, hidden]`.
///
/// # Errors
/// A sentence about the file, if its values do not fit the shape, are not finite, or make up fewer
/// than two rows.
pub(super) fn matrix(rows: usize, hidden: usize, values: &[f32]) -> Result<LayerMatrix, String> {
    if hidden == 0 || rows.checked_mul(hidden) != Some(values.len()) {
        return Err(format!("its tensor of shape [{rows}, {hidden}] has {} values", values.len()));
    }
    check_finite(values).map_err(|problem| format!("its tensor {problem}"))?;
    LayerMatrix::from_flat(hidden, values.to_vec())
        .ok_or_else(|| "it needs an embedding row and at least one layer".to_owned())
}
