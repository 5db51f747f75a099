//! Placement Engine: answers that the engine writes again, steered.

use crate::front::{EVIL, Front, GOOD, block, question};
use crate::rig::{policy, regenerate, text, with};
use crate::vllm::{End, Fault, Script};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::time::Duration;

/// Its mean is this.
fn mean(score: f32, name: &str) -> Script {
    let mut script = Script::of(&[score; 12]);
    script.tokens.iter_mut().for_each(|(text, _)| text.insert_str(0, name));
    script
}

async fn front() -> Front {
    Front::ready(vec![policy(regenerate(), Some(1.0))]).await
}

fn added(plan: &Value) -> Vec<f64> {
    let changes = plan["changes"].as_array().unwrap().iter();
    changes.map(|change| change["add"].as_f64().unwrap()).collect()
}

fn regenerated(front: &Front, result: &str) -> f64 {
    front.metric(&format!("personaguard_regenerated_responses_total{{result=\"{result}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_past_its_threshold_is_written_again_and_steered() {
    let front = front().await;
    for stream in [false, true] {
        front.vllm.play_in_turn([Script::of(&EVIL), mean(0.5, "better-")]);
        let said = match stream {
            true => front.stream(json!({})).await.0,
            false => text(&front.rig.complete(&question()).await).to_owned(),
        };
        assert_eq!(said, mean(0.5, "better-").text(12), "stream: {stream}");
        let plans = front.take_plans();
        let [(first, asked), (again, asked_again)] = &plans[..] else { panic!("{plans:?}") };
        assert_eq!((added(first), added(again)), (vec![], vec![-2.0]));
        assert_ne!(first["id"], again["id"]);
        assert_eq!(asked["cache_salt"], Value::Null, "the first is as any other");
        assert!(asked_again["cache_salt"].is_string());
    }
    // Counted once each, however often they were written.
    let report = front.rig.sidecar().app().report();
    assert_eq!((report.totals.responses, report.totals.breaches, report.totals.blocked), (2, 2, 0));
    assert!((report.traits[0].mean - 0.5).abs() < 1e-6, "{:?}", report.traits[0]);
    assert!((regenerated(&front, "within") - 2.0).abs() < 0.01);
    assert!(front.vllm.take_aborted().is_empty(), "each came to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_answers_past_their_threshold_the_best_is_sent() {
    let front = front().await;
    for stream in [false, true] {
        let scripts = [mean(3.0, "a"), mean(2.0, "b"), mean(4.0, "c")];
        front.vllm.play_in_turn(scripts.clone());
        let said = match stream {
            true => front.stream(json!({})).await.0,
            false => text(&front.rig.complete(&question()).await).to_owned(),
        };
        assert_eq!(said, scripts[1].text(12), "stream: {stream}");
        let plans = front.take_plans();
        let all: Vec<_> = plans.iter().map(|(plan, _)| added(plan)).collect();
        assert_eq!(all, [vec![], vec![-2.0], vec![-4.0]], "further with each");
    }
    assert!((regenerated(&front, "past") - 2.0).abs() < 0.01);
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 2);
    // Nothing to mend.
    front.vllm.play_in_turn([mean(0.0, "fine-")]);
    assert_eq!(front.stream(json!({})).await.0, mean(0.0, "fine-").text(12));
    assert_eq!(front.take_plans().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_fails_leaves_the_one_before() {
    let front = front().await;
    let faulty = Script { fault: Some(Fault::Gap(3)), ..mean(0.0, "faulty-") };
    let refused = Script { is_refused: true, ..Script::of(&GOOD) };
    for stream in [false, true] {
        front.vllm.play_in_turn([mean(3.0, "a"), refused.clone(), faulty.clone()]);
        let said = match stream {
            true => front.stream(json!({})).await.0,
            false => text(&front.rig.complete(&question()).await).to_owned(),
        };
        assert_eq!(said, mean(3.0, "a").text(12), "stream: {stream}");
    }
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 2);
    // Of the first, an error is the answer.
    front.vllm.play_in_turn([refused]);
    let (status, said) = front.post("/v1/chat/completions", &question()).await;
    assert!(status == 400 && said.contains("BadRequestError"), "{status} {said}");
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_policy_blocks_is_not_written_again() {
    let both = ResolvedPolicy { name: "block".to_owned(), ..block() };
    let front = Front::ready(vec![policy(regenerate(), Some(0.5)), both]).await;
    for stream in [false, true] {
        front.vllm.play_in_turn([Script::of(&EVIL), Script::of(&GOOD)]);
        let body = with(question(), json!({ "stream": stream }));
        let (_, said) = front.post("/v1/chat/completions", &body).await;
        assert!(said.contains("content_filter") && !said.contains("w7"), "{said}");
        assert_eq!(front.take_plans().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_are_each_written_again_as_often_as_they_need() {
    let front = front().await;
    front.vllm.play_seeded(7, [mean(3.0, "evil-"), mean(0.0, "good-")]);
    let body = with(question(), json!({ "n": 2, "seed": 7 }));
    let whole = front.rig.complete(&body).await;
    assert_eq!(whole["choices"][0]["message"]["content"], mean(3.0, "evil-").text(12));
    assert_eq!(whole["choices"][1]["message"]["content"], mean(0.0, "good-").text(12));
    let plans = front.take_plans();
    let count = |seed: i64| plans.iter().filter(|(_, body)| body["seed"] == seed).count();
    assert_eq!((count(7), count(8)), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_and_one_that_is_given_up_count_once() {
    let front = front().await;
    let cut = |score: f32, name: &str| Script { end: End::Length, ..mean(score, name) };
    // What is asked for a last token.
    front.vllm.play(cut(0.0, ""));
    front.vllm.play_in_turn([cut(3.0, "a"), cut(0.0, "b")]);
    assert_eq!(front.stream(json!({})).await.0, cut(0.0, "b").text(12));
    let pace = Some(Duration::from_millis(50));
    front.vllm.play(Script { pace, ..mean(0.0, "") });
    front.vllm.play_in_turn([mean(3.0, "a")]);
    let patience = Duration::from_millis(300);
    assert!(tokio::time::timeout(patience, front.stream(json!({}))).await.is_err());
    let cancelled = "personaguard_responses_total{outcome=\"cancelled\"}";
    front.rig.until("it is counted", async || front.metric(cancelled) > 0.5).await;
    front.rig.until("it ends", async || !front.vllm.take_aborted().is_empty()).await;
    assert_eq!(front.rig.sidecar().app().report().totals.responses, 2);
}
