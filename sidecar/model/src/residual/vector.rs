//! Checks on the vectors of taps and interventions.

use std::sync::Arc;

/// Why a vector cannot be used for a tap or an intervention.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// Nothing can be projected on a zero vector.
    #[error("the vector is zero: check the file it was read from, and that this layer is in it")]
    Zero,
    /// NaN or infinity, in the vector, the coefficient or a bound.
    #[error(
        "the vector, its coefficient or a bound holds a value that is not finite: extract the \
         vector again"
    )]
    NotFinite,
    /// A cap that no projection can satisfy.
    #[error("the floor {floor} is above the ceiling {ceiling}: swap them")]
    FloorAboveCeiling {
        /// Lower bound given.
        floor: f32,
        /// Upper bound given.
        ceiling: f32,
    },
}

/// The vector's Euclidean norm, which must be positive and finite.
pub(super) fn norm(vector: &[f32]) -> Result<f64, VectorError> {
    let norm = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
    match norm {
        n if !n.is_finite() => Err(VectorError::NotFinite),
        0.0 => Err(VectorError::Zero),
        n => Ok(n),
    }
}

/// The vector divided by its norm.
pub(super) fn unit(vector: &[f32]) -> Result<Arc<[f32]>, VectorError> {
    let norm = norm(vector)?;
    #[allow(clippy::cast_possible_truncation)]
    Ok(vector.iter().map(|&v| (f64::from(v) / norm) as f32).collect())
}
