//! The formulas against an independent computation: `numpy/expected.json` is what numpy says
//! (`numpy/make.py`).

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use personaguard_persona::extraction::{Sample, SampleKey, mean_difference, pair_up};
use personaguard_persona::shift::finetuning_shift;
use personaguard_persona::stats::{LabelledScore, auroc, pearson};
use personaguard_persona::{Calibration, Polarity, project};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    positive: Vec<Vec<Vec<f32>>>,
    negative: Vec<Vec<Vec<f32>>>,
    vectors: Vec<Vec<f64>>,
    projections: Vec<Vec<f64>>,
    answers: Vec<Vec<Vec<f32>>>,
    own: Vec<Vec<Vec<f32>>>,
    differences: Vec<f64>,
    base: Vec<Vec<f32>>,
    tuned: Vec<Vec<f32>>,
    shift: ExpectedShift,
    scores: Vec<f64>,
    labels: Vec<bool>,
    auroc: f64,
    other: Vec<f64>,
    pearson: f64,
    mean: f64,
    standard_deviation: f64,
    quantile90: f64,
}

#[derive(Deserialize)]
struct ExpectedShift {
    mean: f64,
    error: f64,
    sigmas: f64,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("numpy/expected.json")).unwrap()
}

fn near(ours: f64, numpy: f64) {
    assert!((ours - numpy).abs() <= TOLERANCE * numpy.abs().max(1.0), "{ours} and {numpy}");
}

fn vectors(expected: &Expected) -> personaguard_persona::LayerMatrix {
    let side = |polarity, activations: &[Vec<Vec<f32>>]| -> Vec<Sample> {
        (0..)
            .zip(activations)
            .map(|(question, activations)| Sample {
                key: SampleKey { question, contrast: 0, rollout: 0 },
                polarity,
                activations: activations.clone(),
            })
            .collect()
    };
    let samples = [
        side(Polarity::Positive, &expected.positive),
        side(Polarity::Negative, &expected.negative),
    ]
    .concat();
    mean_difference(&pair_up(&samples)).unwrap()
}

#[test]
fn mean_difference_and_projections() {
    let expected = expected();
    let vectors = vectors(&expected);
    for (layer, row) in (0..).zip(&expected.vectors) {
        vectors
            .layer(layer)
            .unwrap()
            .iter()
            .zip(row)
            .for_each(|(ours, numpy)| near(f64::from(*ours), *numpy));
    }
    for (sample, projections) in expected.positive.iter().zip(&expected.projections) {
        for (layer, projection) in (0..).zip(projections) {
            near(project(&sample[layer as usize], vectors.layer(layer).unwrap()), *projection);
        }
    }
}

#[test]
fn projection_difference() {
    let expected = expected();
    let vectors = vectors(&expected);
    // As the engine reads it: the mean over tokens of each token's projection.
    let response_avg = |tokens: &Vec<Vec<f32>>| {
        tokens.iter().map(|token| project(token, vectors.layer(2).unwrap())).sum::<f64>()
            / tokens.len() as f64
    };
    for ((answer, own), difference) in
        expected.answers.iter().zip(&expected.own).zip(&expected.differences)
    {
        near(response_avg(answer) - response_avg(own), *difference);
    }
}

#[test]
fn the_finetuning_shift() {
    let expected = expected();
    let vectors = vectors(&expected);
    let activations: Vec<(&[f32], &[f32])> = expected
        .base
        .iter()
        .zip(&expected.tuned)
        .map(|(base, tuned)| (base.as_slice(), tuned.as_slice()))
        .collect();
    let shift = finetuning_shift(&activations, vectors.layer(1).unwrap()).unwrap();
    near(shift.mean, expected.shift.mean);
    near(shift.error, expected.shift.error);
    near(shift.sigmas, expected.shift.sigmas);
}

#[test]
fn statistics_of_scores() {
    let expected = expected();
    let labelled: Vec<LabelledScore> = expected
        .scores
        .iter()
        .zip(&expected.labels)
        .map(|(score, positive)| LabelledScore { score: *score, positive: *positive, cluster: 0 })
        .collect();
    near(auroc(&labelled).unwrap(), expected.auroc);
    let points: Vec<(f64, f64)> =
        expected.scores.iter().copied().zip(expected.other.iter().copied()).collect();
    near(pearson(&points).unwrap(), expected.pearson);
    let calibration = Calibration::from_scores(&expected.scores).unwrap();
    near(calibration.mean, expected.mean);
    near(calibration.standard_deviation, expected.standard_deviation);
    near(calibration.at_quantile(0.9).unwrap(), expected.quantile90);
}
