use super::*;

#[test]
fn mean_and_spread_of_a_known_sample() {
    let calibration = Calibration::from_scores(&[4.0, 2.0, 8.0, 6.0]).unwrap();
    assert_eq!((calibration.count, calibration.mean), (4, 5.0));
    assert_eq!(calibration.standard_deviation, round((20.0_f64 / 3.0).sqrt()));
    assert_eq!(calibration.sorted, [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(calibration.at_quantile(0.5), Some(5.0));
    assert!((calibration.at_sigma(3.0) - (5.0 + 3.0 * 2.581989)).abs() < 1e-9);
}

#[test]
fn a_sample_too_small_for_a_quantile_gives_none() {
    let scores: Vec<f64> = (0..500).map(f64::from).collect();
    let calibration = Calibration::from_scores(&scores).unwrap();
    assert_eq!(calibration.at_quantile(0.999), None);
    assert!(calibration.at_quantile(0.99).is_some());
}

#[test]
fn thinning_keeps_both_ends_and_the_median() {
    let scores: Vec<f64> = (0..10_001).map(f64::from).collect();
    let calibration = Calibration::from_scores(&scores).unwrap();
    assert_eq!(calibration.sorted.len(), MAX_ORDER_STATISTICS);
    assert_eq!(calibration.sorted[0], 0.0);
    assert_eq!(calibration.sorted[500], 5000.0);
    assert_eq!(calibration.sorted[1000], 10_000.0);
    assert_eq!(calibration.at_quantile(0.999), Some(9990.0));
}

#[test]
fn without_a_spread_there_is_no_calibration() {
    assert_eq!(Calibration::from_scores(&[1.0]), None);
    assert_eq!(Calibration::from_scores(&[1.0, f64::NAN]), None);
}
