use super::*;
use crate::random::Stream;

const CALM: f64 = 1000.0;

fn calibration() -> Calibration {
    Calibration { count: 10_000, mean: -4.0, standard_deviation: 2.5, sorted: Vec::new() }
}

fn observe(drift: Drift, z: f64, limits: Limits) -> Drift {
    let calibration = calibration();
    drift.after(1, calibration.mean + z * calibration.standard_deviation, &calibration, limits)
}

/// Responses until the first alarm, averaged over `runs`, with each chart's limits, in simulation.
fn simulate(shift: f64, runs: u32, limits: Limits, seed: u64) -> f64 {
    let mut stream = Stream::new(seed, 0);
    let lengths = (0..runs).map(|_| {
        let mut drift = Drift::default();
        let mut length = 0_u32;
        while !drift.detected {
            drift = observe(drift, stream.normal() + shift, limits);
            length += 1;
        }
        f64::from(length)
    });
    lengths.sum::<f64>() / f64::from(runs)
}

fn cusum_alone(limits: Limits) -> Limits {
    Limits { ewma: f64::INFINITY, ..limits }
}

fn ewma_alone(limits: Limits) -> Limits {
    Limits { cusum: f64::INFINITY, ..limits }
}

#[test]
fn a_hundred_thousand_calm_scores_give_no_more_false_alarms_than_promised() {
    let limits = Limits::for_run_length(CALM);
    let mut stream = Stream::new(17, 0);
    let mut drift = Drift::default();
    let mut alarms = 0;
    for _ in 0..100_000 {
        drift = observe(drift, stream.normal(), limits);
        if drift.detected {
            alarms += 1;
            drift = Drift::default();
        }
    }
    println!("100,000 calm scores, {CALM} promised between alarms: {alarms} alarms");
    // 100 are promised at most; the charts share alarms, so that fewer come. Run lengths are nearly
    // exponential, the count nearly Poisson: 95% of counts lie within ±1.96·√100 of 100.
    assert!((50..=120).contains(&alarms), "{alarms}");
}

#[test]
fn each_chart_alone_keeps_its_half_of_the_promise() {
    let limits = Limits::for_run_length(CALM);
    for limits in [cusum_alone(limits), ewma_alone(limits)] {
        // Standard error of a mean of 1000 exponential lengths: 3%.
        let length = simulate(0.0, 1000, limits, 5);
        println!("one chart, {} promised between its alarms: {length:.0}", 2.0 * CALM);
        assert!((length / (2.0 * CALM) - 1.0).abs() < 0.1, "{length}");
    }
}

#[test]
fn a_shift_of_one_sigma_is_found_with_the_delay_of_theory() {
    let limits = Limits::for_run_length(CALM);
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
    let limits = Limits::for_run_length(1e5);
    let mut drift = Drift::default();
    for _ in 0..50 {
        drift = observe(drift, 1.5, limits);
    }
    assert!(drift.detected && (drift.shift - 1.5).abs() < 0.02);
    drift = observe(drift, 0.0, limits);
    assert!(drift.detected, "one calm score is no recovery");
    for _ in 0..60 {
        drift = observe(drift, 0.0, limits);
    }
    assert!(!drift.detected);
}

#[test]
fn a_group_counts_as_its_responses() {
    let (limits, calibration) = (Limits::for_run_length(1e5), calibration());
    let score = calibration.mean + 1.2 * calibration.standard_deviation;
    let grouped = Drift::default().after(5, 5.0 * score, &calibration, limits);
    let single =
        (0..5).fold(Drift::default(), |drift, _| drift.after(1, score, &calibration, limits));
    assert!((grouped.up - single.up).abs() < 1e-9 && (grouped.shift - single.shift).abs() < 1e-9);
}

#[test]
fn nothing_comes_of_nothing() {
    let limits = Limits::for_run_length(1e5);
    let still = Calibration { standard_deviation: 0.0, ..calibration() };
    assert_eq!(Drift::default().after(0, 0.0, &calibration(), limits), Drift::default());
    assert_eq!(Drift::default().after(1, 9.0, &still, limits), Drift::default());
    assert_eq!(Drift::default().after(1, f64::NAN, &calibration(), limits), Drift::default());
}
