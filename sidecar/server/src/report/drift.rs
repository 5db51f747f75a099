//! Drift of one trait's scores from their baseline.

use personaguard_persona::Calibration;
use personaguard_persona::drift::{ControlLimits, DriftDetector};
use personaguard_wire::Calm;
use personaguard_wire::DriftCharts;
use std::sync::LazyLock;

/// Benign responses between two false alarms of one trait's charts, on average.
const RUN_LENGTH: f64 = 10_000.0;

/// Adds a score to the charts. True if drift was detected, or is over. Without a baseline there are
/// no charts.
pub(super) fn observe(
    charts: &mut Option<DriftCharts>,
    score: f64,
    baseline: Option<Calm>,
) -> bool {
    let before = charts.unwrap_or_default();
    *charts = baseline.map(|baseline| step(before, score, baseline));
    charts.unwrap_or_default().detected != before.detected
}

fn step(charts: DriftCharts, score: f64, baseline: Calm) -> DriftCharts {
    static LIMITS: LazyLock<ControlLimits> =
        LazyLock::new(|| ControlLimits::for_run_length(RUN_LENGTH));
    let calibration = Calibration {
        count: 0,
        mean: baseline.mean,
        standard_deviation: baseline.standard_deviation,
        sorted: Vec::new(),
    };
    let before = DriftDetector {
        up: charts.up,
        down: charts.down,
        shift: charts.shift,
        detected: charts.detected,
    };
    let DriftDetector { up, down, shift, detected } = before.after(1, score, &calibration, *LIMITS);
    DriftCharts { shift, up, down, detected }
}

#[cfg(test)]
mod tests;
