//! Placement Engine: several answers to one request. Each is an exchange of its own with the
//! engine.

use crate::front::{EVIL, Front, GOOD, PATIENCE, block, closed, question};
use crate::rig::{policy, steer, with};
use crate::vllm::{End, Fault, Script};
use futures::StreamExt as _;
use personaguard_terms::{Action, Mode};
use personaguard_wire::ResolvedPolicy;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The seed of the first answer.
const SEED: i64 = 7;

/// Asks for so many answers.
fn several(n: usize, fields: Value) -> Value {
    with(with(question(), json!({ "n": n, "seed": SEED })), fields)
}

/// A good answer that can be told from others.
fn named(name: &str) -> Script {
    let mut script = Script::of(&GOOD);
    for (number, (text, _)) in script.tokens.iter_mut().enumerate() {
        *text = format!("{name}{number} ");
    }
    script
}

impl Front {
    /// The texts of a stream by their index, how each ended, and all bytes.
    async fn choices(&self, n: usize, fields: Value) -> (Vec<(String, Value)>, String) {
        let body = with(several(n, json!({ "stream": true })), fields);
        let all = self.rig.post(&body).await.text().await.unwrap_or_default();
        let mut choices = vec![(String::new(), Value::Null); n];
        for event in all.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(event).unwrap_or_default();
            for choice in event["choices"].as_array().into_iter().flatten() {
                let (text, end) = &mut choices[choice["index"].as_u64().unwrap() as usize];
                text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
                if !choice["finish_reason"].is_null() {
                    *end = choice["finish_reason"].clone();
                }
            }
        }
        (choices, all)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_come_as_one_response() {
    let front = Front::ready(vec![closed(policy(steer(), Some(1.0)))]).await;
    let names = ["a", "b", "c"];
    front.vllm.play_seeded(SEED, names.map(named));
    let texts = names.map(|name| named(name).text(12));
    let whole = front.rig.complete(&several(3, json!({ "cache_salt": "mine" }))).await;
    for (number, text) in texts.iter().enumerate() {
        let choice = &whole["choices"][number];
        assert_eq!(
            (&choice["index"], &choice["message"]["content"]),
            (&json!(number), &json!(text))
        );
        assert_eq!(choice["finish_reason"], "stop");
    }
    let usage = json!({ "prompt_tokens": 5, "completion_tokens": 39, "total_tokens": 44 });
    assert_eq!((&whole["id"], &whole["usage"]), (&json!("chatcmpl-1"), &usage));
    let plans = front.take_plans();
    let ids: BTreeSet<_> = plans.iter().map(|(plan, _)| plan["id"].to_string()).collect();
    let salts: BTreeSet<_> = plans.iter().map(|(_, it)| it["cache_salt"].to_string()).collect();
    let seeds: BTreeSet<_> = plans.iter().filter_map(|(_, body)| body["seed"].as_i64()).collect();
    assert_eq!((ids.len(), salts.len()), (3, 1), "a plan each, and one cache");
    assert_eq!(seeds, BTreeSet::from([7, 8, 9]));
    assert!(plans.iter().all(|(_, body)| body["n"] == 1));
    let (choices, all) =
        front.choices(3, json!({ "stream_options": { "include_usage": true } })).await;
    for ((text, end), expected) in choices.iter().zip(&texts) {
        assert_eq!((text, end), (expected, &json!("stop")), "{all}");
    }
    assert_eq!(
        (all.matches("[DONE]").count(), all.matches("\"usage\":{").count()),
        (1, 1),
        "{all}"
    );
    let last = all.trim_end().rsplit("\n\n").nth(1).unwrap();
    let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["usage"], usage);
    assert!(front.vllm.take_aborted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_prompts_are_answered_in_their_order() {
    let front = Front::ready(vec![block()]).await;
    front.vllm.play_seeded(SEED, ["a", "b"].map(named));
    let body = json!({ "model": "m", "prompt": ["x", [1, 2]], "n": 2, "seed": SEED });
    let (status, said) = front.post("/v1/completions", &body).await;
    assert_eq!(status, 200, "{said}");
    let whole: Value = serde_json::from_str(&said).unwrap();
    let said = |number: usize| whole["choices"][number]["message"]["content"].clone();
    let (a, b) = (json!(named("a").text(12)), json!(named("b").text(12)));
    assert_eq!([said(0), said(1), said(2), said(3)], [a.clone(), b.clone(), a, b]);
    assert_eq!(whole["usage"]["prompt_tokens"], 10, "each prompt once");
    let prompts: Vec<_> =
        front.take_plans().into_iter().map(|(_, it)| it["prompt"].clone()).collect();
    assert_eq!(prompts.iter().filter(|prompt| **prompt == json!([1, 2])).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_ends_the_answer_that_it_is_in_and_no_other() {
    let front = Front::ready(vec![block()]).await;
    let pace = Some(Duration::from_millis(20));
    let scripts = [
        Script { pace, ..named("a") },
        Script { pace, ..Script::of(&EVIL) },
        Script { pace, ..named("c") },
    ];
    front.vllm.play_seeded(SEED, scripts);
    let (choices, all) = front.choices(3, json!({})).await;
    let (good, evil) = ([named("a").text(12), named("c").text(12)], Script::of(&EVIL).text(6));
    assert_eq!(choices[0], (good[0].clone(), json!("stop")), "{all}");
    assert_eq!(choices[1], (evil, json!("content_filter")), "{all}");
    assert_eq!(choices[2], (good[1].clone(), json!("stop")), "{all}");
    assert!(all.ends_with("data: [DONE]\n\n"));
    let plans = front.take_plans();
    let breached = plans.iter().find(|(_, body)| body["seed"] == SEED + 1).unwrap();
    assert_eq!(front.vllm.take_aborted(), [breached.0["id"].as_str().unwrap()]);
    let whole = front.rig.complete(&several(3, json!({}))).await;
    let ends: Vec<_> = (0..3).map(|at| whole["choices"][at]["finish_reason"].clone()).collect();
    assert_eq!(ends, ["stop", "content_filter", "stop"]);
    assert_eq!(whole["choices"][1]["message"]["content"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_all_of_its_answers() {
    let front = Front::ready(vec![block()]).await;
    let pace = Some(Duration::from_millis(100));
    front.vllm.play(Script { pace, ..Script::of(&GOOD) });
    for stream in [true, false] {
        let body = several(3, json!({ "stream": stream }));
        let until_gone = async {
            let mut pieces = front.rig.post(&body).await.bytes_stream();
            while pieces.next().await.is_some() {}
        };
        let patience = Duration::from_millis(500);
        assert!(tokio::time::timeout(patience, until_gone).await.is_err(), "it was written");
        let plans = front.take_plans();
        let ids: BTreeSet<_> = plans.iter().map(|(plan, _)| plan["id"].as_str().unwrap()).collect();
        let mut aborted = BTreeSet::new();
        while aborted.len() < 3 {
            aborted.extend(front.vllm.take_aborted());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(aborted.iter().all(|id| ids.contains(id.as_str())), "{aborted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_one_answer_is_that_of_the_response() {
    let front = Front::ready(vec![block()]).await;
    let pace = Some(Duration::from_millis(50));
    let good = Script { pace, ..Script::of(&GOOD) };
    let refused = Script { is_refused: true, ..Script::of(&GOOD) };
    front.vllm.play_seeded(SEED, [good.clone(), refused]);
    for stream in [true, false] {
        let (status, said) =
            front.post("/v1/chat/completions", &several(2, json!({ "stream": stream }))).await;
        assert!(status == 400 && said.contains("BadRequestError"), "{status} {said}");
        front.rig.until("the other ends", async || !front.vllm.take_aborted().is_empty()).await;
    }
    // A policy that refuses what cannot be scored refuses all of it.
    let faulty = Script { fault: Some(Fault::Gap(8)), ..good.clone() };
    front.vllm.play_seeded(SEED, [good, faulty]);
    let (choices, all) = front.choices(2, json!({})).await;
    assert!(all.contains("guard_unavailable") && !all.contains("[DONE]"), "{all}");
    assert!(choices[1].0.len() <= Script::of(&GOOD).text(8).len(), "{all}");
    let (status, said) = front.post("/v1/chat/completions", &several(2, json!({}))).await;
    assert!(status == 503 && said.contains("guard_unavailable"), "{status} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_waits_several_answers_come_as_one_too() {
    let audited = ResolvedPolicy { mode: Mode::Audit, ..policy(Action::Block, Some(1.0)) };
    let front = Front::of(vec![audited], PATIENCE).await;
    front.vllm.play_seeded(SEED, [named("a"), Script::of(&EVIL)]);
    let (choices, all) = front.choices(2, json!({})).await;
    assert_eq!(choices[0].0, named("a").text(12), "{all}");
    assert_eq!(choices[1].0, Script::of(&EVIL).text(12), "{all}");
    assert!(all.ends_with("data: [DONE]\n\n"));
    let whole = front.rig.complete(&several(2, json!({}))).await;
    assert_eq!(whole["choices"][1]["message"]["content"], Script::of(&EVIL).text(12));
    let scores = || front.rig.sidecar().app().report().traits.remove(0).scored;
    front.rig.until("all four answers are scored", async || scores() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_of_several_answers_no_token_past_a_block_leaves() {
    let front = Front::of(vec![block()], Duration::from_secs(2)).await;
    // What is asked for a last token names no seed: it is as good as that of a good answer.
    front.vllm.play(Script::of(&GOOD));
    for seed in 0..150 {
        let mut dice = StdRng::seed_from_u64(seed);
        let scripts: Vec<_> = (0..3)
            .map(|_| {
                let evil = dice.random_bool(0.5);
                Script {
                    end: [End::Eos, End::Length, End::StopString][dice.random_range(0..3)],
                    merge: dice.random_range(1..5),
                    late: Some(Duration::from_millis(dice.random_range(0..3))),
                    pace: Some(Duration::from_millis(dice.random_range(0..3))),
                    ..Script::of(if evil { &EVIL } else { &GOOD })
                }
            })
            .collect();
        front.vllm.play_seeded(SEED, scripts.clone());
        let (choices, all) = front.choices(3, json!({})).await;
        assert!(all.ends_with("data: [DONE]\n\n"), "seed {seed}: {all}");
        for ((text, end), script) in choices.iter().zip(&scripts) {
            let is_evil = script.tokens[4].1 > 0.0;
            let most = script.text(if is_evil { 6 } else { 12 });
            assert!(most.starts_with(text), "seed {seed}: {script:?}\n{all}");
            assert_eq!(is_evil, end == "content_filter", "seed {seed}: {script:?}\n{all}");
            assert!(is_evil || *text == most, "seed {seed}: {script:?}\n{all}");
        }
    }
}
