//! Counts out of counts.

use crate::Interval;

/// Wilson's 95% interval of a proportion: `hits` of `trials`, of which there is at least one.
#[must_use]
pub fn proportion_interval(hits: u32, trials: u32) -> Option<Interval> {
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
mod tests {
    use super::*;

    #[test]
    fn wilsons_own_figures() {
        // Newcombe, Statistics in Medicine 17 (1998), table I: 81/263, 15/148, 0/20.
        for (hits, trials, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let interval = proportion_interval(hits, trials).unwrap();
            assert!(
                (interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4,
                "{interval:?}"
            );
        }
        assert_eq!(proportion_interval(1, 0), None);
    }
}
