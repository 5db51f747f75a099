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
fn the_zero_vector_has_no_direction() {
    assert_eq!(unit(&[0.0; 3]), None);
    assert_eq!(project(&[1.0; 3], &[0.0; 3]), 0.0);
}

proptest! {
    #[test]
    fn projection_ignores_the_length_of_the_vector(
        a in prop::collection::vec(-10.0_f32..10.0, 8),
        v in prop::collection::vec(0.1_f32..10.0, 8),
        scale in 0.1_f32..10.0
    ) {
        let scaled: Vec<f32> = v.iter().map(|x| x * scale).collect();
        prop_assert!((project(&a, &v) - project(&a, &scaled)).abs() < 1e-4);
    }

    #[test]
    fn steering_moves_the_projection_by_alpha_norms(
        a in prop::collection::vec(-10.0_f32..10.0, 8),
        v in prop::collection::vec(0.1_f32..10.0, 8),
        alpha in -4.0_f32..4.0
    ) {
        let steered: Vec<f32> = a.iter().zip(&v).map(|(x, y)| x + alpha * y).collect();
        let expected = project(&a, &v) + f64::from(alpha) * norm(&v);
        prop_assert!((project(&steered, &v) - expected).abs() < 1e-3);
    }
}
