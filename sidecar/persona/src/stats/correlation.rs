//! Correlation, overall and within groups.

use super::summary::mean;

/// Pearson's correlation coefficient r of (x, y) points, −1 to 1. `None` for fewer than two points,
/// or if x or y does not vary.
#[must_use]
pub fn pearson(points: &[(f64, f64)]) -> Option<f64> {
    let (mean_x, mean_y) = centroid(points);
    coefficient(points.iter().map(|(x, y)| (x - mean_x, y - mean_y)))
}

/// Pearson's r within groups: each point is taken relative to the centroid of its group, so that
/// differences between groups (such as between system prompts) do not count.
#[must_use]
pub fn pearson_within(groups: &[Vec<(f64, f64)>]) -> Option<f64> {
    coefficient(groups.iter().flat_map(|group| {
        let (mean_x, mean_y) = centroid(group);
        group.iter().map(move |(x, y)| (x - mean_x, y - mean_y))
    }))
}

fn centroid(points: &[(f64, f64)]) -> (f64, f64) {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    (mean(&xs), mean(&ys))
}

/// Σxy / √(Σx² Σy²) of deviations from their means.
fn coefficient(deviations: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (xx, xy, yy) = deviations
        .fold((0.0, 0.0, 0.0), |(xx, xy, yy), (x, y)| (xx + x * x, xy + x * y, yy + y * y));
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests;
