//! Area under the ROC curve, with a confidence interval that knows which scores belong together.

use super::quantile;
use crate::Interval;
use crate::random::Stream;

/// A score with its label and the question it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelled {
    /// The score.
    pub score: f64,
    /// Whether the response shows the trait.
    pub positive: bool,
    /// The question: answers to one question are not independent.
    pub cluster: u32,
}

/// The probability that a positive's score exceeds a negative's, a tie counting half (Mann and
/// Whitney's U, over the number of pairs). `None` without both labels.
#[must_use]
pub fn auroc(scores: &[Labelled]) -> Option<f64> {
    weighted(scores, |_| 1)
}

/// Bootstrap over clusters: percentile interval of the area at `level` (0.95 …), from `resamples`
/// draws of as many clusters with replacement. A bootstrap over single answers would take a
/// question's answers for independent evidence. `None` without both labels.
#[must_use]
pub fn auroc_interval(
    scores: &[Labelled],
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
    let mut stream = Stream::new(seed, 0xA0C);
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

fn weighted(scores: &[Labelled], weight: impl Fn(usize) -> u32) -> Option<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    area_of_sorted(&sorted, weight)
}

/// One pass over scores in rising order, in runs of equal scores.
fn area_of_sorted(sorted: &[Labelled], weight: impl Fn(usize) -> u32) -> Option<f64> {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labelled(scores: &[(f64, bool)]) -> Vec<Labelled> {
        scores
            .iter()
            .zip(0..)
            .map(|(&(score, positive), cluster)| Labelled { score, positive, cluster: cluster / 2 })
            .collect()
    }

    /// The definition, pair by pair.
    fn by_pairs(scores: &[Labelled]) -> Option<f64> {
        let of = |label: bool| {
            scores.iter().filter(move |score| score.positive == label).map(|score| score.score)
        };
        let outcomes: Vec<f64> = of(true)
            .flat_map(|p| {
                of(false).map(move |n| {
                    if p > n {
                        1.0
                    } else if p == n {
                        0.5
                    } else {
                        0.0
                    }
                })
            })
            .collect();
        (!outcomes.is_empty()).then(|| outcomes.iter().sum::<f64>() / outcomes.len() as f64)
    }

    proptest! {
        #[test]
        fn the_area_is_the_fraction_of_pairs_in_order(scores in prop::collection::vec(((-5_i32..5).prop_map(f64::from), any::<bool>()), 0..60)) {
            let scores = labelled(&scores);
            match (auroc(&scores), by_pairs(&scores)) {
                (Some(area), Some(expected)) => prop_assert!((area - expected).abs() < 1e-12),
                (area, expected) => prop_assert_eq!(area, expected),
            }
        }
    }

    #[test]
    fn the_interval_covers_the_true_area_as_often_as_it_promises() {
        // Normal scores one standard deviation apart: the true area is Φ(1/√2) = 0.7602.
        let mut stream = Stream::new(3, 0);
        let trials = 400;
        let covered = (0..trials)
            .filter(|trial| {
                let scores: Vec<Labelled> = (0..80)
                    .map(|i| Labelled {
                        score: stream.normal() + if i % 2 == 0 { 1.0 } else { 0.0 },
                        positive: i % 2 == 0,
                        cluster: i / 2,
                    })
                    .collect();
                let interval = auroc_interval(&scores, 0.95, 400, *trial).unwrap();
                interval.low <= 0.7602 && 0.7602 <= interval.high
            })
            .count();
        // Binomial(400, 0.95): three standard deviations below is 367; a percentile bootstrap is a
        // little short of its level.
        assert!((360..=398).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn answers_to_one_question_widen_the_interval() {
        let mut stream = Stream::new(5, 0);
        let mut scores = Vec::new();
        for cluster in 0..10 {
            let shared = stream.normal();
            for i in 0..10 {
                let positive = i % 2 == 0;
                let score = shared
                    + if positive { 1.0 } else { 0.0 } * f64::from(cluster % 3)
                    + 0.1 * stream.normal();
                scores.push(Labelled { score, positive, cluster });
            }
        }
        let width = |interval: Interval| interval.high - interval.low;
        let clustered = width(auroc_interval(&scores, 0.95, 1000, 1).unwrap());
        (0..).zip(&mut scores).for_each(|(cluster, score)| score.cluster = cluster);
        let single = width(auroc_interval(&scores, 0.95, 1000, 1).unwrap());
        assert!(clustered > single, "{clustered} {single}");
    }
}
