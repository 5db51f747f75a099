//! Drift: a lasting move of a score's distribution from its calibration, found by two charts on raw
//! z-scores.
//!
//! The two-sided CUSUM (Page 1954) is the quicker to find a lasting shift of about one standard
//! deviation; the EWMA (Roberts 1959) says how large the shift is now, and when it is over. Their
//! limits follow from one promise: the number of calm responses between false alarms.

mod run_length;

use crate::Calibration;
use serde::{Deserialize, Serialize};

pub use run_length::{cusum_run_length, ewma_run_length};

/// Allowance k of the CUSUM: half the shift, in standard deviations, that is to be found soonest.
pub const ALLOWANCE: f64 = 0.5;
/// Weight λ of the newest score in the EWMA.
pub const WEIGHT: f64 = 0.1;

/// Limits of both charts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Decision interval h of the CUSUM, in standard deviations.
    pub cusum: f64,
    /// Limit of the EWMA's distance from zero, in standard deviations of a single score.
    pub ewma: f64,
}

impl Limits {
    /// Limits for at least `responses` calm responses on average between false alarms of the two
    /// charts together, 100 to 10⁹; each chart gets half of the false alarms.
    #[must_use]
    pub fn for_run_length(responses: f64) -> Self {
        let each = 2.0 * responses.clamp(1e2, 1e9);
        let spread = (WEIGHT / (2.0 - WEIGHT)).sqrt();
        Self {
            cusum: run_length::solve(0.5, 40.0, |h| cusum_run_length(ALLOWANCE, h, 0.0) - each),
            ewma: spread
                * run_length::solve(1.0, 8.0, |width| ewma_run_length(WEIGHT, width, 0.0) - each),
        }
    }
}

/// Where a workload's charts stand. Starts calm; keep it over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drift {
    /// Upper CUSUM, at least 0.
    pub up: f64,
    /// Lower CUSUM, at least 0.
    pub down: f64,
    /// EWMA of z-scores: the shift at present, in standard deviations.
    pub shift: f64,
    /// Whether drift is in force: set at an alarm, cleared only when both charts have fallen below
    /// half their limits.
    pub detected: bool,
}

impl Drift {
    /// Takes in `count` responses whose scores sum to `sum`. One pod's charts take each response by
    /// itself; charts of a whole workload take what its pods report at a time. Within such a group
    /// the order of scores is not known, so that a group counts as `count` responses at its mean.
    #[must_use]
    pub fn after(self, count: u64, sum: f64, calibration: &Calibration, limits: Limits) -> Self {
        let n = count as f64;
        if count == 0 || !sum.is_finite() || calibration.standard_deviation <= 0.0 {
            return self;
        }
        let z = (sum / n - calibration.mean) / calibration.standard_deviation;
        // Twice the limit is enough evidence to keep: more would only put off the recovery.
        let step = |side: f64, z: f64| (side + n * (z - ALLOWANCE)).clamp(0.0, 2.0 * limits.cusum);
        let shift = z + (self.shift - z) * (1.0 - WEIGHT).powf(n);
        let (up, down) = (step(self.up, z), step(self.down, -z));
        let past = |part: f64| {
            up > part * limits.cusum
                || down > part * limits.cusum
                || shift.abs() > part * limits.ewma
        };
        Self { up, down, shift, detected: if self.detected { past(0.5) } else { past(1.0) } }
    }
}

#[cfg(test)]
mod tests;
