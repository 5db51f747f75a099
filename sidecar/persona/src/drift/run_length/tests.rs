use super::*;

#[test]
fn run_lengths_are_those_of_the_literature() {
    // Two-sided CUSUM, k = 0.5: Montgomery, Introduction to Statistical Quality Control, table 9.3.
    for (h, shift, expected) in
        [(4.0, 0.0, 168.0), (4.0, 1.0, 8.38), (5.0, 0.0, 465.0), (5.0, 1.0, 10.4)]
    {
        let length = cusum_run_length(0.5, h, shift);
        assert!((length / expected - 1.0).abs() < 0.02, "{h} {shift}: {length}");
    }
    // EWMA: Lucas and Saccucci, table 1 (λ = 0.1, L = 2.814 and λ = 0.05, L = 2.615 give 500
    // without shift).
    for (lambda, width, shift, expected) in
        [(0.1, 2.814, 0.0, 500.0), (0.1, 2.814, 1.0, 10.3), (0.05, 2.615, 0.0, 500.0)]
    {
        let length = ewma_run_length(lambda, width, shift);
        assert!((length / expected - 1.0).abs() < 0.02, "{lambda} {width} {shift}: {length}");
    }
}
