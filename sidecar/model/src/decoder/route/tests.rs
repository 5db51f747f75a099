use super::*;

#[test]
fn a_token_goes_to_the_experts_that_are_rated_highest() {
    let route = |scores: &[f32], used, is_normalized| {
        route(scores, &Experts { count: scores.len(), used, is_normalized, has_shared: false })
    };
    for broken in [f32::NAN, -f32::NAN, f32::INFINITY] {
        let weights = route(&[1.0, broken, 2.0], 1, true);
        assert!(weights.iter().all(|&(_, weight)| weight.is_nan()), "{broken}: {weights:?}");
    }
    // Softmax of logarithms is the numbers, divided by their sum.
    let scores = [1.0_f32, 3.0, 4.0, 2.0].map(f32::ln);
    let close = |found: &[(usize, f32)], expected: &[(usize, f32)]| {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6)
    };
    assert!(close(&route(&scores, 2, false), &[(1, 0.3), (2, 0.4)]));
    assert!(close(&route(&scores, 2, true), &[(1, 3.0 / 7.0), (2, 4.0 / 7.0)]));
    // Of equals, the first.
    assert!(close(&route(&[5.0; 4], 2, true), &[(0, 0.5), (1, 0.5)]));
    // Large numbers overflow nothing.
    assert!(close(&route(&[1e30, -1e30, 9e29], 1, false), &[(0, 1.0)]));
}
