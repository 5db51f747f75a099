//! From answers to the samples that vectors are made from.

use super::request::Purpose;
use super::scored_answer::ScoredAnswer;
use personaguard_persona::extraction::{Pair, Sample, SampleKey, pair_up};
use std::collections::BTreeSet;

/// Which activations of an answer make a sample.
pub(super) type States = fn(&ScoredAnswer) -> &Vec<Vec<f32>>;

/// Mean activations over the answer's tokens.
pub(super) fn response_mean(answer: &ScoredAnswer) -> &Vec<Vec<f32>> {
    &answer.states.response_mean
}

/// The samples of contrasted answers.
pub(super) fn samples(answers: &[ScoredAnswer], states: States) -> Vec<Sample> {
    answers
        .iter()
        .filter_map(|answer| match answer.request.purpose {
            Purpose::Extract(polarity, key) | Purpose::HeldOut(polarity, key) => {
                Some(Sample { key, polarity, activations: states(answer).clone() })
            }
            Purpose::Benign(_) => None,
        })
        .collect()
}

/// The pairs among other samples that answer the same requests as `pairs`, in the same order.
pub(super) fn matching_pairs<'a>(pairs: &[Pair<'_>], samples: &'a [Sample]) -> Vec<Pair<'a>> {
    let keys: BTreeSet<SampleKey> = pairs.iter().map(|(positive, _)| positive.key).collect();
    pair_up(samples).into_iter().filter(|(positive, _)| keys.contains(&positive.key)).collect()
}
