//! Placement Engine: what is missing, and what goes wrong.

use crate::front::{Front, GOOD, PATIENCE, block, question};
use crate::rig::{HIDDEN, policy, steer, with};
use crate::vllm::{End, Fault, Script};
use personaguard_terms::FailurePolicy;
use personaguard_wire::ResolvedPolicy;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_token_of_an_answer_that_was_cut_is_measured_too() {
    let front = Front::ready(vec![block()]).await;
    // The mean is within the threshold until the last token.
    let scores = |last: f32| [&[0.9; 7][..], &[last]].concat();
    for end in [End::Length, End::StopString] {
        front.vllm.play(Script { end, ..Script::of(&scores(0.9)) });
        let (said, all) = front.stream(json!({})).await;
        assert_eq!(said, Script::of(&scores(0.9)).text(8), "{end:?} {all}");
        let plans = front.take_plans();
        let [(_, asked), (plan, again)] = &plans[..] else { panic!("{plans:?}") };
        assert_eq!(again["prompt"], json!([1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105, 106, 107]));
        assert_eq!((&plan["prompt"], &again["max_tokens"]), (&json!(5), &json!(1)));
        assert_eq!(again["cache_salt"], asked["cache_salt"]);
        front.vllm.play(Script { end, ..Script::of(&scores(9.0)) });
        let (said, all) = front.stream(json!({})).await;
        assert_eq!(said, Script::of(&scores(9.0)).text(7), "{end:?} {all}");
        assert!(all.contains("content_filter"), "{all}");
        let whole = front.rig.complete(&question()).await;
        assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
        // The context is full, say.
        front.vllm.play(Script { end, reads_on: false, ..Script::of(&scores(9.0)) });
        let (said, all) = front.stream(json!({})).await;
        assert_eq!(said, Script::of(&scores(9.0)).text(7), "{end:?}");
        assert!(all.contains("\"error\""), "{all}");
        let _ = front.vllm.take_bodies();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_the_engine_refuses_is_an_error() {
    let front = Front::ready(vec![block()]).await;
    front.vllm.play(Script::of(&GOOD));
    front.vllm.forget_sets();
    for stream in [false, true] {
        let body = with(question(), json!({ "stream": stream }));
        let (status, said) = front.post("/v1/chat/completions", &body).await;
        assert!(status == 400 && !said.contains("another set"), "{status} {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plugin_cannot_do_is_said_of_the_policy() {
    let front = Front::alone(vec![policy(steer(), None)], PATIENCE).await;
    front.vllm.connect_as(&with(front.vllm.hello(HIDDEN), json!({ "slots": 0 }))).await;
    front
        .rig
        .until("it is told", async || {
            let failure = front.rig.sidecar().app().report().model.failure;
            failure.is_some_and(|failure| failure.message.contains("has room for 0"))
        })
        .await;
    front.vllm.play(Script::of(&GOOD));
    assert_eq!(front.rig.post(&question()).await.status(), 200, "it fails open");
}

/// What leaves under each failure policy when something goes wrong at the ninth token.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_faults_of_the_plugin_follow_the_failure_policy() {
    let faults = [
        Fault::Gap(8),
        Fault::Silence(8),
        Fault::OtherSet(8),
        Fault::NotANumber(8),
        Fault::Gone(8),
        Fault::Noise(8),
    ];
    for failure_policy in [FailurePolicy::Closed, FailurePolicy::Open] {
        let policy = ResolvedPolicy { failure_policy, ..block() };
        let front = Front::of(vec![policy], Duration::from_secs(1)).await;
        for (number, fault) in faults.into_iter().enumerate() {
            let script = Script { fault: Some(fault), ..Script::of(&GOOD) };
            front.vllm.play(script.clone());
            let (said, all) = front.stream(json!({})).await;
            if failure_policy == FailurePolicy::Closed {
                assert!(script.text(8).starts_with(&said), "{fault:?}: {all}");
                assert!(all.contains("guard_unscorable") || all.contains("\"error\""), "{all}");
                assert!(!all.contains("[DONE]"), "{fault:?}: {all}");
            } else {
                assert_eq!(said, script.text(12), "{fault:?}: {all}");
                assert!(all.ends_with("data: [DONE]\n\n"), "{fault:?}: {all}");
                front
                    .rig
                    .until("it is counted", async || {
                        let metrics = front.rig.sidecar().app().encode_metrics();
                        let counts = metrics.lines().filter_map(|line| {
                            let (_, count) = line
                                .strip_prefix("personaguard_unguarded_responses_total{")?
                                .split_once(' ')?;
                            count.parse::<f64>().ok()
                        });
                        counts.sum::<f64>() > number as f64 + 0.5
                    })
                    .await;
            }
            front.recover(Some(fault)).await;
        }
        for reason in ["gap", "other", "lost"] {
            let series = format!("personaguard_engine_row_faults_total{{reason=\"{reason}\"}}");
            assert!(front.metric(&series) >= 1.0, "{reason}");
        }
        // Told again after a preemption, nothing changes.
        let again = Script { fault: Some(Fault::Again(8)), ..Script::of(&GOOD) };
        front.vllm.play(again.clone());
        assert_eq!(front.stream(json!({})).await.0, again.text(12));
    }
}
