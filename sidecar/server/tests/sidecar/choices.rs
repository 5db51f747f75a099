//! `n` above 1: each choice is an answer by itself, under a guard of its own.

use crate::audit::{entries, files, logging_variant};
use crate::enforcement::{long, scored, stream_tokens, tokens};
use crate::rig::{
    Folder, Rig, chat, counts, finish_reason, policy, redact, regenerate, streamed, text, with,
};
use futures::StreamExt as _;
use personaguard_terms::{Action, Score};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A choice of a whole response, as a response of its own.
fn of(response: &Value, index: usize) -> Value {
    let choice = &response["choices"][index];
    assert_eq!(choice["index"], index);
    json!({ "choices": [choice], "personaguard": choice["personaguard"] })
}

/// A choice of a stream: its chunks.
fn streamed_of(chunks: &[Value], index: usize) -> Vec<Value> {
    chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == index).cloned().collect()
}

fn seeded(body: &Value, seed: usize) -> Value {
    with(body.clone(), json!({ "seed": seed }))
}

/// Answers to the same request with seeds 7, 8 and 9, each by itself.
async fn alone(rig: &Rig, body: &Value) -> Vec<Value> {
    let mut answers = Vec::new();
    for seed in 7..10 {
        answers.push(rig.complete(&seeded(body, seed)).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn each_choice_is_the_answer_to_its_own_seed_whole_and_streamed() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let alone = alone(&rig, &long()).await;
    assert!(text(&alone[0]) != text(&alone[1]) && text(&alone[1]) != text(&alone[2]));
    let body = with(long(), json!({ "n": 3 }));
    let whole = rig.complete(&scored(body.clone())).await;
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3);
    assert!(whole.get("personaguard").is_none(), "scores are the choices'");
    let (chunks, done) = rig
        .stream(&with(scored(body.clone()), json!({ "stream_options": { "include_usage": true } })))
        .await;
    assert!(done);
    let sum: u64 =
        alone.iter().map(|answer| answer["usage"]["completion_tokens"].as_u64().unwrap()).sum();
    let prompt = alone[0]["usage"]["prompt_tokens"].as_u64().unwrap();
    let usage = [prompt, sum, prompt + sum].map(Value::from);
    for body in [&whole, chunks.last().unwrap()] {
        assert_eq!(counts(body), usage.each_ref());
    }
    for (index, alone) in alone.iter().enumerate() {
        let (choice, chunks) = (of(&whole, index), streamed_of(&chunks, index));
        assert_eq!((text(&choice), tokens(&choice)), (text(alone), tokens(alone)));
        assert_eq!(choice["choices"][0]["finish_reason"], alone["choices"][0]["finish_reason"]);
        assert_eq!(
            (streamed(&chunks).as_str(), stream_tokens(&chunks)),
            (text(alone), tokens(alone))
        );
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let last = &chunks.last().unwrap()["choices"][0];
        assert_eq!(&last["finish_reason"], &alone["choices"][0]["finish_reason"]);
        assert_eq!(last["personaguard"], choice["personaguard"]);
        assert_eq!(choice["personaguard"]["scores"][0]["breached"], false);
    }
}

/// Answers, and a threshold on the running mean that some of them pass and some do not: for each,
/// how many tokens may leave.
async fn divided(rig: &Rig) -> (Vec<Value>, f64, Vec<Option<usize>>) {
    let plain = alone(rig, &scored(long())).await;
    let means = |answer: &Value| {
        let tokens = answer["personaguard"]["tokens"]["evil"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_f64().unwrap());
        let sums = tokens.scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        });
        sums.enumerate().map(|(index, sum)| sum / (index + 1) as f64).collect::<Vec<_>>()
    };
    // Evidence begins with the fourth token.
    let means: Vec<Vec<f64>> = plain.iter().map(means).collect();
    let highest: Vec<f64> =
        means.iter().map(|means| means[3..].iter().copied().fold(f64::MIN, f64::max)).collect();
    let (low, high) = (
        highest.iter().copied().fold(f64::MAX, f64::min),
        highest.iter().copied().fold(f64::MIN, f64::max),
    );
    let threshold = f64::midpoint(low, high);
    let at = |means: &Vec<f64>| (3..means.len()).find(|at| means[*at] > threshold);
    let allowed =
        means.iter().map(|means| at(means).map(|at| if at == 3 { 0 } else { at })).collect();
    (plain, threshold, allowed)
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_choice_past_the_threshold_neither_leaves_nor_stops_another() {
    let rig = Rig::ready(vec![policy(Action::Audit, None)]).await;
    let (plain, threshold, allowed) = divided(&rig).await;
    assert!(
        allowed.iter().any(Option::is_some) && allowed.iter().any(Option::is_none),
        "{allowed:?}"
    );
    let body = with(long(), json!({ "n": 3 }));
    for action in [Action::Block, redact()] {
        let rig = Rig::ready(vec![policy(action.clone(), Some(threshold))]).await;
        let whole = rig.complete(&body).await;
        let (chunks, done) = rig.stream(&body).await;
        assert!(done);
        for (index, (plain, allowed)) in plain.iter().zip(&allowed).enumerate() {
            let (choice, chunks) = (of(&whole, index), streamed_of(&chunks, index));
            let reason = choice["choices"][0]["finish_reason"].as_str().unwrap();
            assert_eq!(
                (streamed(&chunks).as_str(), finish_reason(&chunks)),
                (text(&choice), reason)
            );
            assert_eq!(stream_tokens(&chunks), tokens(&choice));
            match (allowed, &action) {
                (None, _) => assert_eq!(
                    (text(&choice), reason),
                    (text(plain), plain["choices"][0]["finish_reason"].as_str().unwrap())
                ),
                (Some(allowed), Action::Block) => {
                    assert_eq!(
                        (tokens(&choice).as_slice(), reason),
                        (&tokens(plain)[..*allowed], "content_filter")
                    );
                }
                (Some(allowed), _) => {
                    let kept = text(&choice).strip_suffix("[removed]").unwrap();
                    assert!(text(plain).starts_with(kept) && tokens(&choice).len() <= *allowed);
                    assert_eq!(reason, "content_filter");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_on_the_prompt_blocks_every_choice() {
    let mut gate = policy(Action::Block, Some(-1e6));
    gate.traits[0].score = Score::PromptLast;
    let rig = Rig::ready(vec![gate]).await;
    let whole = rig.complete(&with(long(), json!({ "n": 2 }))).await;
    for index in 0..2 {
        let choice = of(&whole, index);
        assert_eq!(
            (text(&choice), &choice["choices"][0]["finish_reason"]),
            ("", &json!("content_filter"))
        );
    }
    assert_eq!(whole["usage"]["completion_tokens"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_choice_is_written_anew_for_itself() {
    let rig = Rig::ready(vec![policy(regenerate(), Some(-1e6))]).await;
    let short = scored(with(long(), json!({ "max_tokens": 12 })));
    let alone = alone(&rig, &short).await;
    let whole = rig.complete(&with(short, json!({ "n": 3 }))).await;
    for (index, alone) in alone.iter().enumerate() {
        let choice = of(&whole, index);
        assert_eq!(text(&choice), text(alone));
        assert_eq!(
            (&choice["personaguard"]["attempts"], &alone["personaguard"]["attempts"]),
            (&json!(3), &json!(3))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_every_choice() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    // One more than run at the same time.
    let body = with(
        chat("Tell me a very long story about the sea."),
        json!({ "n": 3, "max_tokens": 3000, "stream": true }),
    );
    let mut chunks = rig.post(&body).await.bytes_stream();
    chunks.next().await.unwrap().unwrap();
    drop(chunks);
    let cancelled = async || {
        rig.metric("personaguard_responses_total{outcome=\"cancelled\"}").await == Some(3.0)
    };
    rig.until("all are cancelled", cancelled).await;
    let idle = async || {
        rig.metric("personaguard_requests_running").await == Some(0.0)
            && rig.metric("personaguard_requests_waiting").await == Some(0.0)
    };
    rig.until("the engine is idle", idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_choice_has_its_line_in_the_audit_log() {
    let dir = TempDir::new().unwrap();
    let mut rig = Rig::start(
        Folder::new(vec![policy(Action::Alert, Some(1e6))]).await,
        logging_variant(&dir, None),
    )
    .await;
    rig.until_ready().await;
    let whole = rig.complete(&with(long(), json!({ "n": 2, "max_tokens": 4 }))).await;
    assert_eq!(rig.sidecar().app().report().totals.responses, 2);
    rig.sidecar.take().unwrap().stop().await;
    let mut ids: Vec<_> = entries(&files(&dir).0, "response")
        .iter()
        .map(|entry| entry["response_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    let id = whole["id"].as_str().unwrap();
    assert_eq!(ids, [id.to_owned(), format!("{id}-1")]);
}
