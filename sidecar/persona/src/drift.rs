//! Drift: a lasting shift of a score's distribution away from its calibration.
//!
//! Two control charts watch the z-scores of responses. The two-sided CUSUM (Page, *Biometrika* 41,
//! 1954) is the quicker to detect a lasting shift of about one standard deviation. The EWMA
//! (Roberts, *Technometrics* 1, 1959) estimates how large the shift is now, and tells when it is
//! over. Their limits follow from one promise: the average run length in control, that is, the
//! number of benign responses between false alarms.

mod run_length;

use crate::calibration::Calibration;
use run_length::bisect;

pub use run_length::{cusum_run_length, ewma_run_length};

/// Allowance k of the CUSUM: half the shift, in standard deviations, that it detects soonest.
pub const ALLOWANCE: f64 = 0.5;
/// Weight λ of the newest score in the EWMA.
pub const WEIGHT: f64 = 0.1;

/// Control limits of both charts, in standard deviations of a single score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlLimits {
    /// Decision interval h of the CUSUM.
    pub cusum: f64,
    /// Limit of the EWMA's distance from zero.
    pub ewma: f64,
}

impl ControlLimits {
    /// Limits at which the two charts together raise a false alarm at most once in `responses`
    /// benign responses, on average. `responses` is clamped to 10² to 10⁹. Each chart gets half of
    /// the false alarms.
    #[must_use]
    pub fn for_run_length(responses: f64) -> Self {
        let each = 2.0 * responses.clamp(1e2, 1e9);
        let spread = (WEIGHT / (2.0 - WEIGHT)).sqrt();
        Self {
            cusum: bisect(0.5, 40.0, |h| cusum_run_length(ALLOWANCE, h, 0.0) - each),
            ewma: spread * bisect(1.0, 8.0, |width| ewma_run_length(WEIGHT, width, 0.0) - each),
        }
    }
}

/// The state of both charts for one score of one workload. The default is that of a workload in
/// control; keep the state across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DriftDetector {
    /// Upper CUSUM, at least 0.
    pub up: f64,
    /// Lower CUSUM, at least 0.
    pub down: f64,
    /// EWMA of z-scores: the present shift, in standard deviations.
    pub shift: f64,
    /// Whether drift is detected. An alarm sets it; it clears only when both charts have fallen
    /// below half of their limits.
    pub detected: bool,
}

impl DriftDetector {
    /// The charts after `count` more responses whose scores sum to `sum`. Nothing changes if there
    /// are none, the sum is not finite, or the calibration has no spread. Charts that are no
    /// numbers begin anew.
    ///
    /// The charts of one pod take every response by itself. Those of a whole workload take groups:
    /// what its pods report at a time. The order of scores within a group is not known, so it
    /// counts as `count` responses at the group's mean.
    #[must_use]
    pub fn after(
        self,
        count: u64,
        sum: f64,
        calibration: &Calibration,
        limits: ControlLimits,
    ) -> Self {
        let n = count as f64;
        let Calibration { mean, standard_deviation, .. } = calibration;
        let usable =
            mean.is_finite() && standard_deviation.is_finite() && *standard_deviation > 0.0;
        if count == 0 || !sum.is_finite() || !usable {
            return self;
        }
        if ![self.up, self.down, self.shift].into_iter().all(f64::is_finite) {
            return Self::default().after(count, sum, calibration, limits);
        }
        let z = (sum / n - calibration.mean) / calibration.standard_deviation;
        // A CUSUM is capped at twice its limit: keeping more would only delay the recovery.
        let step = |side: f64, z: f64| (side + n * (z - ALLOWANCE)).clamp(0.0, 2.0 * limits.cusum);
        let shift = z + (self.shift - z) * (1.0 - WEIGHT).powf(n);
        let (up, down) = (step(self.up, z), step(self.down, -z));
        let exceeds = |share: f64| {
            up > share * limits.cusum
                || down > share * limits.cusum
                || shift.abs() > share * limits.ewma
        };
        let detected = if self.detected { exceeds(0.5) } else { exceeds(1.0) };
        Self { up, down, shift, detected }
    }
}

#[cfg(test)]
mod tests;
