//! Average run lengths of the control charts on independent normal scores with unit variance and a
//! shifted mean.

/// Number of states of the Markov chain that approximates the EWMA.
const STATES: usize = 121;

/// Average run length, in responses, of the two-sided CUSUM with allowance `k` and decision
/// interval `h` for scores of mean `shift`.
///
/// Siegmund's approximation (*Sequential Analysis*, 1985) for one side is
/// (e^(−2Δb) + 2Δb − 1) / 2Δ², with Δ = ±shift − k and b = h + 1.166.
#[must_use]
pub fn cusum_run_length(k: f64, h: f64, shift: f64) -> f64 {
    let one_sided = |mean: f64| {
        let (delta, b) = (mean - k, h + 1.166);
        if delta.abs() < 1e-6 {
            b * b
        } else {
            ((-2.0 * delta * b).exp() + 2.0 * delta * b - 1.0) / (2.0 * delta * delta)
        }
    };
    1.0 / (1.0 / one_sided(shift) + 1.0 / one_sided(-shift))
}

/// Average run length, in responses, of the EWMA with weight `lambda` for scores of mean `shift`,
/// starting from 0. Its limits are ±`width` standard deviations of the chart in its steady state.
///
/// The chart is approximated by a Markov chain (Lucas and Saccucci, *Technometrics* 32, 1990).
#[must_use]
pub fn ewma_run_length(lambda: f64, width: f64, shift: f64) -> f64 {
    let limit = width * (lambda / (2.0 - lambda)).sqrt();
    let half = limit / STATES as f64;
    let centre = |state: usize| -limit + half * (2 * state + 1) as f64;
    // The run lengths L solve (I − Q) · L = 1, where Q holds the transition probabilities between
    // states within the limits. Each row is one of I − Q, with the right-hand side at its end.
    let mut rows: Vec<Vec<f64>> = (0..STATES)
        .map(|from| {
            let kept = (1.0 - lambda) * centre(from);
            let below = |edge: f64| normal_cdf((edge - kept) / lambda - shift);
            let mut row: Vec<f64> =
                (0..STATES).map(|to| below(centre(to) - half) - below(centre(to) + half)).collect();
            row[from] += 1.0;
            row.push(1.0);
            row
        })
        .collect();
    solve_linear_system(&mut rows);
    rows[STATES / 2][STATES]
}

/// Gauss–Jordan elimination with partial pivoting. The right-hand side is the last column, which
/// holds the solution afterwards.
fn solve_linear_system(rows: &mut [Vec<f64>]) {
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

/// Root of an increasing function between `low` and `high`, by 40 bisections.
pub(super) fn bisect(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if f(middle) < 0.0 { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests;
