use super::*;

#[test]
fn medians_and_speeds() {
    assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    assert!((speed(100, Duration::from_millis(500)) - 200.0).abs() < 1e-9);
    assert!(median(Vec::new()).is_nan());
}
