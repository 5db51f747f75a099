//! Screening training data: how far each sample would move a model along a trait.
//!
//! The projection difference of a sample (x, y) is ΔP = (ā(x, y) − ā(x, y′))·v̂: the mean projection over the sample's
//! response tokens minus that over the model's own answer y′. What the model would say anyway teaches it nothing; what
//! lies further along the trait than its own answer does.

/// A screened sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Screened {
    /// Line of the data set, from 1.
    pub line: u64,
    /// Projection difference.
    pub difference: f64,
}

/// A screened sample's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The sample.
    pub sample: Screened,
    /// 1 for the greatest difference.
    pub rank: usize,
    /// Fraction of samples with a smaller difference.
    pub percentile: f64,
}

/// Samples from the greatest difference to the least; ties in order of their lines.
#[must_use]
pub fn rank(samples: &[Screened]) -> Vec<Ranked> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| b.difference.total_cmp(&a.difference).then(a.line.cmp(&b.line)));
    sorted
        .iter()
        .zip(1..)
        .map(|(sample, rank)| {
            let smaller = sorted.len() - sorted.partition_point(|other| other.difference >= sample.difference);
            Ranked { sample: *sample, rank, percentile: smaller as f64 / sorted.len() as f64 }
        })
        .collect()
}

/// The fraction of planted samples among the first `k`; `None` for k = 0 or fewer samples than that.
#[must_use]
pub fn precision_at(ranked: &[Ranked], k: usize, planted: impl Fn(u64) -> bool) -> Option<f64> {
    let first = ranked.get(..k).filter(|first| !first.is_empty())?;
    Some(first.iter().filter(|ranked| planted(ranked.sample.line)).count() as f64 / k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_difference_comes_first() {
        let samples = [(1, 0.5), (2, 3.0), (3, -1.0), (4, 0.5)].map(|(line, difference)| Screened { line, difference });
        let ranked = rank(&samples);
        assert_eq!(ranked.iter().map(|ranked| ranked.sample.line).collect::<Vec<_>>(), [2, 1, 4, 3]);
        assert_eq!(ranked.iter().map(|ranked| ranked.percentile).collect::<Vec<_>>(), [0.75, 0.25, 0.25, 0.0]);
        assert_eq!(precision_at(&ranked, 2, |line| line == 2), Some(0.5));
        assert_eq!(precision_at(&ranked, 9, |_| true), None);
    }
}
