//! The distribution of scores in bounded space, numbers only: a merging t-digest (Dunning and Ertl,
//! 2019, arXiv:1902.04023). Neighbouring scores share a centroid; the nearer to an end of the
//! distribution, the fewer do, so that high quantiles stay sharp. Sketches of sidecars that never
//! met merge into one.

use crate::invalid::Invalid;
use crate::limits::{MAX_CENTROIDS, MAX_COUNT, is_score};
use serde::{Deserialize, Serialize};

/// δ of the scale function k₂: what compression leaves is below it.
const COMPRESSION: f64 = 60.0;

/// A distribution of scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sketch {
    /// Sum of squared deviations from the mean, mergeable.
    pub sum_squared_deviations: f64,
    /// In rising order; the lowest and the highest score stand alone.
    pub centroids: Vec<Centroid>,
}

/// Neighbouring scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Centroid {
    /// Their mean.
    pub mean: f64,
    /// How many they are, at least 1.
    pub count: u64,
}

#[allow(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Sketch {
    /// Takes a score in; one that is no number is left out.
    pub fn add(&mut self, score: f64) {
        if score.is_finite() {
            self.merge(&Self {
                sum_squared_deviations: 0.0,
                centroids: vec![Centroid { mean: score, count: 1 }],
            });
        }
    }

    /// Takes the scores of another sketch in.
    pub fn merge(&mut self, other: &Self) {
        if other.centroids.is_empty() {
            return;
        }
        let (n, m) = (float(self.count()), float(other.count()));
        // Chan, Golub and LeVeque (1979).
        let delta = other.mean() - self.mean();
        self.sum_squared_deviations +=
            other.sum_squared_deviations + delta * delta * n * m / (n + m);
        self.centroids.extend_from_slice(&other.centroids);
        self.centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean).then(a.count.cmp(&b.count)));
        if self.centroids.len() > MAX_CENTROIDS {
            self.compress();
        }
    }

    /// Joins neighbours as long as they span at most 1 on the scale k₂(q) = δ / (4 ln(n/δ) + 24) ·
    /// ln(q / (1−q)), which is infinite at both ends.
    fn compress(&mut self) {
        let n = float(self.count());
        let scale =
            |q: f64| COMPRESSION / (4.0 * (n / COMPRESSION).ln() + 24.0) * (q / (1.0 - q)).ln();
        let mut joined: Vec<Centroid> = Vec::with_capacity(MAX_CENTROIDS);
        // Scores below the last of `joined`.
        let mut below = 0;
        for next in std::mem::take(&mut self.centroids) {
            let Some(last) = joined.last_mut() else {
                joined.push(next);
                continue;
            };
            let count = last.count + next.count;
            if scale(float(below + count) / n) - scale(float(below) / n) <= 1.0 {
                last.mean += (next.mean - last.mean) * float(next.count) / float(count);
                last.count = count;
            } else {
                below += last.count;
                joined.push(next);
            }
        }
        self.centroids = joined;
    }

    /// Scores that it has taken in.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.centroids.iter().map(|centroid| centroid.count).sum()
    }

    /// Their mean; 0 where there are none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: f64 =
            self.centroids.iter().map(|centroid| centroid.mean * float(centroid.count)).sum();
        sum / float(self.count().max(1))
    }

    /// Their standard deviation (n − 1); 0 where there are fewer than two.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        (self.sum_squared_deviations / float(self.count().saturating_sub(1).max(1))).sqrt()
    }

    /// The score that a fraction `q` (0 to 1) of them stays below, interpolated between centroids;
    /// among scores that are kept exactly, type 7 of Hyndman and Fan. `None` where there are none,
    /// or `q` is no number.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if q.is_nan() {
            return None;
        }
        let position = q.clamp(0.0, 1.0) * float(self.count().checked_sub(1)?);
        let mut below = 0;
        let mut before: Option<(f64, f64)> = None;
        for centroid in &self.centroids {
            let middle = float(below) + (float(centroid.count) - 1.0) / 2.0;
            if middle >= position {
                let (x, y) = before.unwrap_or((position, centroid.mean));
                let part = if middle > x { (position - x) / (middle - x) } else { 0.0 };
                // Exactly the centroid's, where it stands at the position.
                let is_exact = middle == position;
                return Some(if is_exact { centroid.mean } else { y + (centroid.mean - y) * part });
            }
            before = Some((middle, centroid.mean));
            below += centroid.count;
        }
        before.map(|(_, highest)| highest)
    }

    /// The same with six decimals: small, and reads back from JSON as it was written.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        let round = |value: f64| (value * 1e6).round() / 1e6;
        self.sum_squared_deviations = round(self.sum_squared_deviations);
        self.centroids.iter_mut().for_each(|centroid| centroid.mean = round(centroid.mean));
        self
    }

    /// Checks a sketch that was received.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn validate(&self) -> Result<(), Invalid> {
        let centroid = |it: &Centroid| is_score(it.mean) && (1..=MAX_COUNT).contains(&it.count);
        let valid = self.centroids.len() <= MAX_CENTROIDS
            && is_score(self.sum_squared_deviations)
            && self.sum_squared_deviations >= 0.0
            && self.centroids.iter().all(centroid)
            && self.count() <= MAX_COUNT
            && self.centroids.is_sorted_by(|a, b| a.mean <= b.mean);
        if valid { Ok(()) } else { Err(Invalid::Sketch) }
    }
}

#[cfg(test)]
mod tests;
