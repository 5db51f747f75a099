//! Confidence interval of a proportion.

use super::interval::Interval;

/// Wilson's 95% score interval of the proportion `hits` / `trials` (Wilson, *JASA* 22, 1927).
/// `None` without trials, or with more hits than trials.
#[must_use]
pub fn wilson_interval(hits: u32, trials: u32) -> Option<Interval> {
    /// The 97.5% point of the standard normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    if trials == 0 || hits > trials {
        return None;
    }
    let (n, p) = (f64::from(trials), f64::from(hits) / f64::from(trials));
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

#[cfg(test)]
mod tests;
