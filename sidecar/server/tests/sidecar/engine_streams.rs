//! Placement Engine: thousands of streams that come as they like. What leaves is the beginning of
//! the answer, and no token from the one on that is past the threshold.

use crate::front::{Front, closed};
use crate::rig::policy;
use crate::vllm::{End, Fault, Script};
use futures::{StreamExt as _, stream};
use personaguard_terms::{Action, FailurePolicy};
use personaguard_wire::ResolvedPolicy;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use std::time::Duration;

/// Streams of one run; `PERSONAGUARD_ENGINE_RUNS` for more.
const RUNS: u64 = 2000;
pub(crate) const THRESHOLD: f64 = 1.0;
const MIN_TOKENS: usize = 4;
/// How long text waits for its scores: a busy machine needs a while.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn runs() -> u64 {
    std::env::var("PERSONAGUARD_ENGINE_RUNS").map_or(RUNS, |runs| runs.parse().unwrap())
}

/// The first token that is past the threshold: it does not leave, nor does any after it.
pub(crate) fn breach(script: &Script) -> Option<usize> {
    let scores: Vec<f64> = script.tokens.iter().map(|(_, score)| f64::from(*score)).collect();
    let mean = |count: usize| scores[..count].iter().sum::<f64>() / count as f64;
    if scores.len() < MIN_TOKENS {
        return (mean(scores.len()) > THRESHOLD).then_some(0);
    }
    (MIN_TOKENS..=scores.len()).find(|count| mean(*count) > THRESHOLD).map(|count| match count {
        MIN_TOKENS => 0,
        count => count - 1,
    })
}

fn script(dice: &mut StdRng) -> Script {
    let count = dice.random_range(1..24);
    let scores: Vec<f32> = (0..count).map(|_| dice.random_range(-2.0..3.0)).collect();
    let millis = |dice: &mut StdRng| Duration::from_millis(dice.random_range(0..3));
    let at = dice.random_range(0..count);
    let fault = match dice.random_range(0..24) {
        0 | 1 => Some(Fault::Gap(at)),
        2 => Some(Fault::OtherSet(at)),
        3 => Some(Fault::NotANumber(at)),
        6 => Some(Fault::Silence(at)),
        4 | 5 => Some(Fault::Again(at)),
        7 => Some(Fault::Gone(at)),
        8 => Some(Fault::Noise(at)),
        _ => None,
    };
    Script {
        end: [End::Eos, End::Eos, End::Length, End::StopString][dice.random_range(0..4)],
        merge: dice.random_range(1..5),
        swallowed: (0..count).filter(|_| dice.random_range(0..6) == 0).collect(),
        late: dice.random_bool(0.4).then(|| millis(dice)),
        pace: dice.random_bool(0.4).then(|| millis(dice)),
        fault,
        reads_on: dice.random_bool(0.8),
        ..Script::of(&scores)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_no_token_past_a_block_leaves_whatever_the_engine_does() {
    // One at a time of each: the server plays one script.
    let fronts = stream::iter(0..8u64).then(|_| {
        let block = closed(policy(Action::Block, Some(THRESHOLD)));
        Front::of(vec![block], PATIENCE)
    });
    let fronts: Vec<_> = fronts.collect().await;
    let runs = runs();
    let runs_of = fronts.iter().enumerate().map(|(number, front)| async move {
        let mut blocked = 0;
        for seed in (number as u64..runs).step_by(8) {
            let mut dice = StdRng::seed_from_u64(seed);
            let script = script(&mut dice);
            front.vllm.play(script.clone());
            let gives_up = dice.random_range(0..10) == 0;
            let asked = front.stream(json!({}));
            let ended = if gives_up {
                let patience = Duration::from_millis(dice.random_range(0..8));
                tokio::time::timeout(patience, asked).await.ok()
            } else {
                Some(asked.await)
            };
            front.recover(script.fault).await;
            let Some((said, all)) = ended else { continue };
            let whole = script.text(script.tokens.len());
            let most = script.text(breach(&script).unwrap_or(script.tokens.len()));
            assert!(most.starts_with(&said), "seed {seed}: {script:?}\n{all}");
            let is_done = all.ends_with("data: [DONE]\n\n");
            if is_done && !all.contains("content_filter") {
                assert_eq!(said, whole, "seed {seed}: {script:?}\n{all}");
            }
            if script.fault.is_none() && (script.end == End::Eos || script.reads_on) {
                assert!(is_done, "seed {seed}: {script:?}\n{all}");
                let is_blocked = all.contains("content_filter");
                assert_eq!(is_blocked, breach(&script).is_some(), "seed {seed}: {script:?}\n{all}");
                blocked += u64::from(is_blocked);
            }
        }
        blocked
    });
    let blocked: u64 = futures::future::join_all(runs_of).await.into_iter().sum();
    assert!(blocked > runs / 20, "{blocked} were blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_fails_open_every_stream_comes_to_its_end() {
    let open = ResolvedPolicy {
        failure_policy: FailurePolicy::Open,
        ..policy(Action::Block, Some(THRESHOLD))
    };
    let front = Front::of(vec![open], PATIENCE).await;
    for seed in 0..runs() / 10 {
        let script = script(&mut StdRng::seed_from_u64(seed));
        front.vllm.play(script.clone());
        let (said, all) = front.stream(json!({})).await;
        front.recover(script.fault).await;
        assert!(all.ends_with("data: [DONE]\n\n"), "seed {seed}: {script:?}\n{all}");
        if !all.contains("content_filter") {
            assert_eq!(said, script.text(script.tokens.len()), "seed {seed}: {script:?}\n{all}");
        }
    }
}
