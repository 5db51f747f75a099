use super::*;

#[test]
fn the_largest_difference_comes_first() {
    let samples = [(1, 0.5), (2, 3.0), (3, -1.0), (4, 0.5)]
        .map(|(line, difference)| ScreenedSample { line, difference });
    let ranked = rank(&samples);
    let lines: Vec<u64> = ranked.iter().map(|ranked| ranked.sample.line).collect();
    assert_eq!(lines, [2, 1, 4, 3]);
    let percentiles: Vec<f64> = ranked.iter().map(|ranked| ranked.percentile).collect();
    assert_eq!(percentiles, [0.75, 0.25, 0.25, 0.0]);
    assert_eq!(precision_at(&ranked, 2, |line| line == 2), Some(0.5));
    assert_eq!(precision_at(&ranked, 9, |_| true), None);
}

#[test]
fn number_9_a_sample_whose_difference_is_no_number_is_not_passed_over() {
    for value in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let sample = |line, difference| ScreenedSample { line, difference };
        let ranked = rank(&[sample(1, 5.0), sample(2, value), sample(3, -5.0)]);
        assert_eq!((ranked[0].sample.line, ranked[0].rank), (2, 1), "{value}");
    }
}
