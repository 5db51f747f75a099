use super::*;

#[test]
fn the_intervals_are_those_of_the_literature() {
    // Newcombe, Statistics in Medicine 17 (1998), table I: 81/263, 15/148, 0/20.
    for (hits, trials, low, high) in
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
    {
        let interval = wilson_interval(hits, trials).unwrap();
        assert!(
            (interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4,
            "{interval:?}"
        );
    }
    assert_eq!(wilson_interval(1, 0), None);
}
