//! Linear algebra on the vectors of one layer, shape `[hidden]`.
//!
//! Values are F32, sums are accumulated in `f64`: over thousands of hidden dimensions, F32 sums
//! would lose digits that thresholds depend on.

/// Dot product ⟨a, b⟩. If the lengths differ, the tail of the longer vector is ignored.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Euclidean norm ‖v‖.
#[must_use]
pub fn norm(v: &[f32]) -> f64 {
    dot(v, v).sqrt()
}

/// Unit vector v / ‖v‖; `None` for the zero vector, which has no direction.
#[must_use]
pub fn unit(v: &[f32]) -> Option<Vec<f32>> {
    let length = norm(v);
    (length > 0.0).then(|| v.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}

/// Scalar projection (a·v)/‖v‖ of an activation `a` on a raw vector `v`, in units of the residual
/// stream; 0 for the zero vector.
#[must_use]
pub fn project(a: &[f32], v: &[f32]) -> f64 {
    let length = norm(v);
    if length > 0.0 { dot(a, v) / length } else { 0.0 }
}

/// Cosine similarity of two vectors, −1 to 1; 0 if either is the zero vector.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = norm(a) * norm(b);
    if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

/// Elementwise difference a − b. If the lengths differ, the tail of the longer vector is dropped.
#[must_use]
pub fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

#[cfg(test)]
mod tests;
