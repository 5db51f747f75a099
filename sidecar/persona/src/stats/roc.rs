//! Area under the ROC curve (AUROC), with a confidence interval for clustered scores.

use super::interval::Interval;
use super::summary::quantile;
use crate::random::RandomStream;

/// The score of one response, with its label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelledScore {
    /// The score.
    pub score: f64,
    /// Whether the response was asked to show the trait.
    pub positive: bool,
    /// The question it answers: answers to the same question are not independent.
    pub cluster: u32,
}

/// AUROC, 0 to 1: the probability that a positive scores higher than a negative, with ties counted
/// as one half (the Mann–Whitney U statistic divided by the number of pairs). `None` unless both
/// labels occur, and every score is finite: what is no number has no rank.
#[must_use]
pub fn auroc(scores: &[LabelledScore]) -> Option<f64> {
    weighted(scores, |_| 1)
}

/// Confidence interval of the AUROC by a percentile bootstrap over clusters. `level` is its
/// coverage, such as 0.95; each of `resamples` draws takes as many clusters as there are, with
/// replacement. `None` unless both labels occur.
///
/// A bootstrap over single answers would count answers to the same question as independent
/// evidence, and the interval would be too narrow.
#[must_use]
pub fn auroc_interval(
    scores: &[LabelledScore],
    level: f64,
    resamples: usize,
    seed: u64,
) -> Option<Interval> {
    auroc(scores)?;
    let mut clusters: Vec<u32> = scores.iter().map(|score| score.cluster).collect();
    clusters.sort_unstable();
    clusters.dedup();
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let places: Vec<usize> =
        sorted.iter().filter_map(|score| clusters.binary_search(&score.cluster).ok()).collect();
    let mut stream = RandomStream::new(seed, 0xA0C);
    let mut areas: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let mut weights = vec![0_u32; clusters.len()];
            (0..clusters.len()).for_each(|_| weights[stream.below(clusters.len())] += 1);
            area_of_sorted(&sorted, |index| weights[places[index]])
        })
        .collect();
    areas.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    (!areas.is_empty())
        .then(|| Interval { low: quantile(&areas, tail), high: quantile(&areas, 1.0 - tail) })
}

fn weighted(scores: &[LabelledScore], weight: impl Fn(usize) -> u32) -> Option<f64> {
    if scores.iter().any(|score| !score.score.is_finite()) {
        return None;
    }
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    area_of_sorted(&sorted, weight)
}

/// AUROC in one pass over scores in ascending order, one run of equal scores at a time. `weight`
/// says how often the score at an index counts.
fn area_of_sorted(sorted: &[LabelledScore], weight: impl Fn(usize) -> u32) -> Option<f64> {
    let (mut negatives, mut positives, mut wins) = (0.0, 0.0, 0.0);
    let mut start = 0;
    for run in sorted.chunk_by(|a, b| a.score == b.score) {
        let (mut run_positive, mut run_negative) = (0.0, 0.0);
        for (offset, score) in run.iter().enumerate() {
            let w = f64::from(weight(start + offset));
            if score.positive { run_positive += w } else { run_negative += w }
        }
        wins += run_positive * (negatives + run_negative / 2.0);
        positives += run_positive;
        negatives += run_negative;
        start += run.len();
    }
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

#[cfg(test)]
mod tests;
