//! Correlation, over all groups and within them.

use super::mean;

/// Pearson's r; `None` for fewer than two points or where one side does not vary.
#[must_use]
pub fn pearson(points: &[(f64, f64)]) -> Option<f64> {
    let (mean_x, mean_y) = centre(points);
    ratio(points.iter().map(|(x, y)| (x - mean_x, y - mean_y)))
}

/// Pearson's r within groups: each point is taken relative to the mean of its group, so that what
/// differs between groups (between system prompts, say) does not count.
#[must_use]
pub fn pearson_within(groups: &[Vec<(f64, f64)>]) -> Option<f64> {
    ratio(groups.iter().flat_map(|group| {
        let (mean_x, mean_y) = centre(group);
        group.iter().map(move |(x, y)| (x - mean_x, y - mean_y))
    }))
}

fn centre(points: &[(f64, f64)]) -> (f64, f64) {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    (mean(&xs), mean(&ys))
}

fn ratio(deviations: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (xx, xy, yy) = deviations
        .fold((0.0, 0.0, 0.0), |(xx, xy, yy), (x, y)| (xx + x * x, xy + x * y, yy + y * y));
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_correlates_fully() {
        let line: Vec<_> = (0..5).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
        assert_eq!(pearson(&line), Some(-1.0));
        assert_eq!(pearson(&line[..1]), None);
    }

    #[test]
    fn anscombes_first_quartet() {
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let r = pearson(&x.into_iter().zip(y).collect::<Vec<_>>()).unwrap();
        assert!((r - 0.816_420_5).abs() < 1e-6, "{r}");
    }

    #[test]
    fn a_shift_between_groups_does_not_count_within_them() {
        let groups = vec![vec![(0.0, 1.0), (1.0, 0.0)], vec![(10.0, 11.0), (11.0, 10.0)]];
        assert_eq!(pearson_within(&groups), Some(-1.0));
        assert!(pearson(&groups.concat()).unwrap() > 0.9);
    }
}
