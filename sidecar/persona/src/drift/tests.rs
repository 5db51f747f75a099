use super::*;
use crate::random::RandomStream;

/// The promised average run length in control.
const RUN_LENGTH: f64 = 1000.0;

fn calibration() -> Calibration {
    Calibration { count: 10_000, mean: -4.0, standard_deviation: 2.5, sorted: Vec::new() }
}

fn observe(detector: DriftDetector, z: f64, limits: ControlLimits) -> DriftDetector {
    let calibration = calibration();
    detector.after(1, calibration.mean + z * calibration.standard_deviation, &calibration, limits)
}

/// Mean number of responses until the first alarm over `runs` simulated runs.
fn simulate(shift: f64, runs: u32, limits: ControlLimits, seed: u64) -> f64 {
    let mut stream = RandomStream::new(seed, 0);
    let lengths = (0..runs).map(|_| {
        let mut detector = DriftDetector::default();
        let mut length = 0_u32;
        while !detector.detected {
            detector = observe(detector, stream.normal() + shift, limits);
            length += 1;
        }
        f64::from(length)
    });
    lengths.sum::<f64>() / f64::from(runs)
}

fn cusum_alone(limits: ControlLimits) -> ControlLimits {
    ControlLimits { ewma: f64::INFINITY, ..limits }
}

fn ewma_alone(limits: ControlLimits) -> ControlLimits {
    ControlLimits { cusum: f64::INFINITY, ..limits }
}

#[test]
fn a_hundred_thousand_benign_scores_give_no_more_false_alarms_than_promised() {
    let limits = ControlLimits::for_run_length(RUN_LENGTH);
    let mut stream = RandomStream::new(17, 0);
    let mut detector = DriftDetector::default();
    let mut alarms = 0;
    for _ in 0..100_000 {
        detector = observe(detector, stream.normal(), limits);
        if detector.detected {
            alarms += 1;
            detector = DriftDetector::default();
        }
    }
    println!("100,000 benign scores, {RUN_LENGTH} promised between alarms: {alarms} alarms");
    // 100 are promised at most; the charts share alarms, so fewer come. Run lengths are nearly
    // exponential and the count nearly Poisson: 95% of counts lie within ±1.96·√100 of 100.
    assert!((50..=120).contains(&alarms), "{alarms}");
}

#[test]
fn each_chart_alone_keeps_its_half_of_the_promise() {
    let limits = ControlLimits::for_run_length(RUN_LENGTH);
    for limits in [cusum_alone(limits), ewma_alone(limits)] {
        // Standard error of a mean of 1000 exponential lengths: 3%.
        let length = simulate(0.0, 1000, limits, 5);
        println!("one chart, {} promised between its alarms: {length:.0}", 2.0 * RUN_LENGTH);
        assert!((length / (2.0 * RUN_LENGTH) - 1.0).abs() < 0.1, "{length}");
    }
}

#[test]
fn a_shift_of_one_sigma_is_detected_with_the_delay_of_theory() {
    let limits = ControlLimits::for_run_length(RUN_LENGTH);
    let width = limits.ewma / (WEIGHT / (2.0 - WEIGHT)).sqrt();
    for shift in [1.0, -1.0] {
        let cusum = simulate(shift, 2000, cusum_alone(limits), 6)
            / cusum_run_length(ALLOWANCE, limits.cusum, shift);
        let ewma =
            simulate(shift, 2000, ewma_alone(limits), 7) / ewma_run_length(WEIGHT, width, shift);
        println!("shift {shift}: delay over theory's, CUSUM {cusum:.3}, EWMA {ewma:.3}");
        assert!(
            (0.8..1.2).contains(&cusum) && (0.8..1.2).contains(&ewma),
            "{shift}: {cusum} {ewma}"
        );
    }
}

#[test]
fn drift_ends_only_when_the_scores_are_back() {
    let limits = ControlLimits::for_run_length(1e5);
    let mut detector = DriftDetector::default();
    for _ in 0..50 {
        detector = observe(detector, 1.5, limits);
    }
    assert!(detector.detected && (detector.shift - 1.5).abs() < 0.02);
    detector = observe(detector, 0.0, limits);
    assert!(detector.detected, "one benign score is no recovery");
    for _ in 0..60 {
        detector = observe(detector, 0.0, limits);
    }
    assert!(!detector.detected);
}

#[test]
fn a_group_counts_as_its_responses() {
    let (limits, calibration) = (ControlLimits::for_run_length(1e5), calibration());
    let score = calibration.mean + 1.2 * calibration.standard_deviation;
    let grouped = DriftDetector::default().after(5, 5.0 * score, &calibration, limits);
    let single = (0..5).fold(DriftDetector::default(), |detector, _| {
        detector.after(1, score, &calibration, limits)
    });
    assert!((grouped.up - single.up).abs() < 1e-9 && (grouped.shift - single.shift).abs() < 1e-9);
}

#[test]
fn scores_that_cannot_be_judged_change_nothing() {
    let limits = ControlLimits::for_run_length(1e5);
    let without_spread = Calibration { standard_deviation: 0.0, ..calibration() };
    let start = DriftDetector::default();
    assert_eq!(start.after(0, 0.0, &calibration(), limits), start);
    assert_eq!(start.after(1, 9.0, &without_spread, limits), start);
    assert_eq!(start.after(1, f64::NAN, &calibration(), limits), start);
}

#[test]
fn number_9_a_chart_that_is_no_number_does_not_stay_silent_for_ever() {
    let limits = ControlLimits::for_run_length(1e5);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for broken in [
            DriftDetector { up: value, ..DriftDetector::default() },
            DriftDetector { down: value, ..DriftDetector::default() },
            DriftDetector { shift: value, ..DriftDetector::default() },
        ] {
            let drifted = (0..60).fold(broken, |detector, _| observe(detector, 2.0, limits));
            assert!(drifted.detected && drifted.shift.is_finite(), "{broken:?}: {drifted:?}");
        }
        for odd in [
            Calibration { standard_deviation: value, ..calibration() },
            Calibration { mean: value, ..calibration() },
        ] {
            let start = DriftDetector::default();
            assert_eq!(start.after(1, 9.0, &odd, limits), start);
        }
    }
}
