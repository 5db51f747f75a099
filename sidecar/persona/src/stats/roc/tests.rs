use super::*;
use proptest::prelude::*;

fn labelled(scores: &[(f64, bool)]) -> Vec<LabelledScore> {
    scores
        .iter()
        .zip(0..)
        .map(|(&(score, positive), cluster)| LabelledScore {
            score,
            positive,
            cluster: cluster / 2,
        })
        .collect()
}

/// The definition of the AUROC, pair by pair.
fn by_pairs(scores: &[LabelledScore]) -> Option<f64> {
    let with = |label: bool| {
        scores.iter().filter(move |score| score.positive == label).map(|score| score.score)
    };
    let outcome = |positive: f64, negative: f64| match positive.total_cmp(&negative) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let outcomes: Vec<f64> =
        with(true).flat_map(|p| with(false).map(move |n| outcome(p, n))).collect();
    (!outcomes.is_empty()).then(|| outcomes.iter().sum::<f64>() / outcomes.len() as f64)
}

proptest! {
    #[test]
    fn the_area_is_the_fraction_of_pairs_in_order(
        scores in prop::collection::vec(((-5_i32..5).prop_map(f64::from), any::<bool>()), 0..60)
    ) {
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
    let mut stream = RandomStream::new(3, 0);
    let trials = 400;
    let covered = (0..trials)
        .filter(|trial| {
            let scores: Vec<LabelledScore> = (0..80)
                .map(|i| LabelledScore {
                    score: stream.normal() + if i % 2 == 0 { 1.0 } else { 0.0 },
                    positive: i % 2 == 0,
                    cluster: i / 2,
                })
                .collect();
            let interval = auroc_interval(&scores, 0.95, 400, *trial).unwrap();
            interval.low <= 0.7602 && 0.7602 <= interval.high
        })
        .count();
    // Binomial(400, 0.95): three standard deviations below its mean is 367; a percentile bootstrap
    // falls a little short of its level.
    assert!((360..=398).contains(&covered), "{covered} of {trials}");
}

#[test]
fn answers_to_the_same_question_widen_the_interval() {
    let mut stream = RandomStream::new(5, 0);
    let mut scores = Vec::new();
    for cluster in 0..10 {
        let shared = stream.normal();
        for i in 0..10 {
            let positive = i % 2 == 0;
            let score = shared
                + if positive { 1.0 } else { 0.0 } * f64::from(cluster % 3)
                + 0.1 * stream.normal();
            scores.push(LabelledScore { score, positive, cluster });
        }
    }
    let width = |interval: Interval| interval.high - interval.low;
    let clustered = width(auroc_interval(&scores, 0.95, 1000, 1).unwrap());
    (0..).zip(&mut scores).for_each(|(cluster, score)| score.cluster = cluster);
    let single = width(auroc_interval(&scores, 0.95, 1000, 1).unwrap());
    assert!(clustered > single, "{clustered} {single}");
}

#[test]
fn number_9_scores_that_are_no_numbers_have_no_auroc() {
    for value in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for place in 0..4 {
            let mut scores: Vec<LabelledScore> =
                [(3.0, true), (2.0, true), (1.0, false), (0.0, false)]
                    .map(|(score, positive)| LabelledScore { score, positive, cluster: 0 })
                    .into();
            assert_eq!(auroc(&scores), Some(1.0));
            scores[place].score = value;
            assert_eq!(auroc(&scores), None, "{value} at {place}");
            assert_eq!(auroc_interval(&scores, 0.95, 20, 1), None);
        }
    }
}
