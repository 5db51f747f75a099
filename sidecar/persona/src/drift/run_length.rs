//! Average run lengths of the charts on independent standard normal scores with a shifted mean:
//! what limits promise.

/// States of the Markov chain that stands in for the EWMA.
const STATES: usize = 121;

/// Average run length of the two-sided CUSUM with allowance `k` and decision interval `h` for
/// scores of mean `shift`, by Siegmund's approximation (Sequential Analysis, 1985): (e^(−2Δb) + 2Δb
/// − 1) / 2Δ² a side, with Δ = ±shift − k and b = h + 1.166.
#[must_use]
pub fn cusum_run_length(k: f64, h: f64, shift: f64) -> f64 {
    let side = |mean: f64| {
        let (delta, b) = (mean - k, h + 1.166);
        if delta.abs() < 1e-6 {
            b * b
        } else {
            ((-2.0 * delta * b).exp() + 2.0 * delta * b - 1.0) / (2.0 * delta * delta)
        }
    };
    1.0 / (1.0 / side(shift) + 1.0 / side(-shift))
}

/// Average run length of the EWMA with weight `lambda` and limits ±`width` standard deviations of
/// the chart in its steady state, for scores of mean `shift`: the chart as a Markov chain (Lucas
/// and Saccucci, Technometrics 32, 1990), from 0.
#[must_use]
pub fn ewma_run_length(lambda: f64, width: f64, shift: f64) -> f64 {
    let limit = width * (lambda / (2.0 - lambda)).sqrt();
    let half = limit / STATES as f64;
    let centre = |state: usize| -limit + half * (2 * state + 1) as f64;
    // (I − Q) · lengths = 1, Q the moves between states inside the limits.
    let mut rows: Vec<Vec<f64>> = (0..STATES)
        .map(|from| {
            let rest = (1.0 - lambda) * centre(from);
            let below = |edge: f64| normal_cdf((edge - rest) / lambda - shift);
            let mut row: Vec<f64> =
                (0..STATES).map(|to| below(centre(to) - half) - below(centre(to) + half)).collect();
            row[from] += 1.0;
            row.push(1.0);
            row
        })
        .collect();
    solve_in_place(&mut rows);
    rows[STATES / 2][STATES]
}

/// Gauss and Jordan with partial pivoting, right-hand side in the last column.
fn solve_in_place(rows: &mut [Vec<f64>]) {
    for column in 0..rows.len() {
        let pivot = (column..rows.len())
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let scale = rows[column][column];
        rows[column].iter_mut().for_each(|value| *value /= scale);
        let reference = rows[column].clone();
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if index != column && factor != 0.0 {
                row.iter_mut()
                    .zip(&reference)
                    .for_each(|(value, reference)| *value -= factor * reference);
            }
        }
    }
}

/// The standard normal distribution function Φ.
fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// Root of a rising function by bisection.
pub(super) fn solve(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if f(middle) < 0.0 { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_lengths_are_those_of_the_literature() {
        // Two-sided CUSUM, k = 0.5: Montgomery, Introduction to Statistical Quality Control, table
        // 9.3.
        for (h, shift, expected) in
            [(4.0, 0.0, 168.0), (4.0, 1.0, 8.38), (5.0, 0.0, 465.0), (5.0, 1.0, 10.4)]
        {
            let length = cusum_run_length(0.5, h, shift);
            assert!((length / expected - 1.0).abs() < 0.02, "{h} {shift}: {length}");
        }
        // EWMA: Lucas and Saccucci, table 1 (λ = 0.1, L = 2.814 and λ = 0.05, L = 2.615 give 500
        // without shift).
        for (lambda, width, shift, expected) in
            [(0.1, 2.814, 0.0, 500.0), (0.1, 2.814, 1.0, 10.3), (0.05, 2.615, 0.0, 500.0)]
        {
            let length = ewma_run_length(lambda, width, shift);
            assert!((length / expected - 1.0).abs() < 0.02, "{lambda} {width} {shift}: {length}");
        }
    }
}
