//! Vectors of one layer, shape `[hidden]`. Sums run in `f64`: a hidden state of thousands of F32
//! values would lose digits that thresholds are given in.

/// ⟨a, b⟩. Where the lengths differ, the longer one's tail is ignored.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// L2 norm.
#[must_use]
pub fn norm(v: &[f32]) -> f64 {
    dot(v, v).sqrt()
}

/// v / ‖v‖; `None` for a vector of zeros, which has no direction.
#[must_use]
pub fn unit(v: &[f32]) -> Option<Vec<f32>> {
    let length = norm(v);
    (length > 0.0).then(|| v.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}

/// The projection (a·v)/‖v‖ of an activation `a` on a raw vector `v`; 0 on a vector of zeros.
#[must_use]
pub fn project(a: &[f32], v: &[f32]) -> f64 {
    let length = norm(v);
    if length > 0.0 { dot(a, v) / length } else { 0.0 }
}

/// Cosine of the angle between two vectors, −1 to 1; 0 where one of them is zero.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = norm(a) * norm(b);
    if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

/// a − b, element by element.
#[must_use]
pub fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_right_triangle() {
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
        assert_eq!(project(&[3.0, 4.0], &[0.0, 7.0]), 4.0);
        assert_eq!(unit(&[0.0, -2.0]), Some(vec![0.0, -1.0]));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
    }

    #[test]
    fn zero_has_no_direction() {
        assert_eq!(unit(&[0.0; 3]), None);
        assert_eq!(project(&[1.0; 3], &[0.0; 3]), 0.0);
    }

    proptest! {
        #[test]
        fn projection_ignores_the_length_of_the_vector(
            a in prop::collection::vec(-10.0_f32..10.0, 8), v in prop::collection::vec(0.1_f32..10.0, 8), scale in 0.1_f32..10.0
        ) {
            let scaled: Vec<f32> = v.iter().map(|x| x * scale).collect();
            prop_assert!((project(&a, &v) - project(&a, &scaled)).abs() < 1e-4);
        }

        #[test]
        fn steering_moves_the_projection_by_alpha_norms(
            a in prop::collection::vec(-10.0_f32..10.0, 8), v in prop::collection::vec(0.1_f32..10.0, 8), alpha in -4.0_f32..4.0
        ) {
            let steered: Vec<f32> = a.iter().zip(&v).map(|(x, y)| x + alpha * y).collect();
            let expected = project(&a, &v) + f64::from(alpha) * norm(&v);
            prop_assert!((project(&steered, &v) - expected).abs() < 1e-3);
        }
    }
}
