use super::*;

#[test]
fn drift_is_noticed_when_it_comes_and_when_it_goes_and_needs_a_baseline() {
    let mut charts = None;
    let baseline = Some(Calm { mean: -4.0, standard_deviation: 2.0 });
    let mut add = |score| observe(&mut charts, score, baseline);
    assert!((0..200).all(|i| !add(if i % 2 == 0 { -3.0 } else { -5.0 })));
    assert!(!charts.unwrap().detected);
    let mut add = |score| observe(&mut charts, score, baseline);
    assert!((0..60).any(|_| add(-1.0)), "1.5 standard deviations above");
    let drifted = charts.unwrap();
    assert!(drifted.detected && drifted.shift > 0.5 && drifted.up > drifted.down, "{drifted:?}");
    let mut add = |score| observe(&mut charts, score, baseline);
    assert!((0..200).any(|_| add(-4.0)), "it is over");
    assert!(!charts.unwrap().detected);
    observe(&mut charts, 100.0, None);
    assert_eq!(charts, None);
}
