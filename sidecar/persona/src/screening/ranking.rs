//! Samples in order of their differences.

/// A screened sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScreenedSample {
    /// Line of the data set, 1-based.
    pub line: u64,
    /// Projection difference.
    pub difference: f64,
}

/// A screened sample with its rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedSample {
    /// The sample.
    pub sample: ScreenedSample,
    /// Rank; 1 for the largest difference.
    pub rank: usize,
    /// Fraction of samples with a smaller difference, 0 to 1.
    pub percentile: f64,
}

/// Ranks samples in descending order of their differences; ties are in order of their lines. A
/// difference that is no number comes first: nothing speaks for such a sample.
#[must_use]
pub fn rank(samples: &[ScreenedSample]) -> Vec<RankedSample> {
    let mut sorted = samples.to_vec();
    for sample in sorted.iter_mut().filter(|sample| !sample.difference.is_finite()) {
        sample.difference = f64::INFINITY;
    }
    sorted.sort_by(|a, b| b.difference.total_cmp(&a.difference).then(a.line.cmp(&b.line)));
    sorted
        .iter()
        .zip(1..)
        .map(|(sample, rank)| {
            let smaller = sorted.len()
                - sorted.partition_point(|other| other.difference >= sample.difference);
            let percentile = smaller as f64 / sorted.len() as f64;
            RankedSample { sample: *sample, rank, percentile }
        })
        .collect()
}

/// The fraction of planted samples, known by their lines, among the first `k`. `None` for k = 0, or
/// if there are fewer than `k` samples.
#[must_use]
pub fn precision_at(
    ranked: &[RankedSample],
    k: usize,
    planted: impl Fn(u64) -> bool,
) -> Option<f64> {
    let first = ranked.get(..k).filter(|first| !first.is_empty())?;
    Some(first.iter().filter(|ranked| planted(ranked.sample.line)).count() as f64 / k as f64)
}

#[cfg(test)]
mod tests;
