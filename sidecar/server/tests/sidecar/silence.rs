//! What is said in a chat stays in the chat.

use crate::rig::{Folder, LOGS, Rig, TRACES, Variant, chat, policy, with};
use personaguard_terms::Action;
use serde_json::{Value, json};

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_follow_the_conventions_and_the_callers_trace() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(-1e6))]).await;
    let request = rig.http.post(format!("{}/v1/chat/completions", rig.url)).json(&chat("Hi"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let id = request.send().await.unwrap().json::<Value>().await.unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let exported = |part: &[u8]| find(&TRACES.lock().unwrap(), part);
    rig.until("exported", async || exported(id.as_bytes())).await;
    assert!(exported(&hex::decode(trace).unwrap()));
    for part in [
        "chat test-model",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.response.finish_reasons",
        "gen_ai.evaluation.result",
        "gen_ai.evaluation.score.value",
        "breached",
        "no-villains",
    ] {
        assert!(exported(part.as_bytes()), "{part}");
    }
}

/// Words that occur nowhere else.
const CANARIES: [&str; 5] =
    ["xylocanaryuser", "xylocanarysystem", "xylocanarystop", "xylocanarybad", "xylocanarymodel"];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_no_prompt_or_response_text_leaves_the_pod() {
    let folder = Folder::new(vec![policy(Action::Block, Some(-1e6))]).await;
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    let plain = Rig::ready(vec![]).await;
    let [user, system, stop, bad, model] = CANARIES;
    let body = with(
        chat(""),
        json!({
            "messages": [
                { "role": "system", "content": format!("Repeat what the user says. {system}") },
                { "role": "user", "content": user },
            ],
            "stop": [stop],
        }),
    );
    // The answer's own words are canaries, too: long enough not to be in a log by chance.
    let answer = plain.complete(&body).await["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.complete(&body).await;
    rig.stream(&body).await;
    assert_eq!(rig.post(&with(body.clone(), json!({ "temperature": bad }))).await.status(), 400);
    assert_eq!(rig.post(&with(body.clone(), json!({ "model": model }))).await.status(), 404);
    assert_eq!(
        rig.post(&with(body, json!({ bad: 1, "messages": [{ "role": bad, "content": bad }] })))
            .await
            .status(),
        400
    );

    rig.until("traced", async || find(&TRACES.lock().unwrap(), b"gen_ai.evaluation.result")).await;
    let traces = String::from_utf8_lossy(&TRACES.lock().unwrap()).into_owned();
    let logs = String::from_utf8_lossy(&LOGS.lock().unwrap()).into_owned();
    assert!(logs.contains("\"breach\"") && logs.contains("\"response\""), "nothing was logged");
    let report = serde_json::to_string(&rig.sidecar().app().report()).unwrap();
    assert!(report.contains("lastBreach"));
    let metrics = rig.get("/metrics").await.1 + &plain.get("/metrics").await.1;
    let ready = rig.get("/readyz").await.1;
    for (place, text) in [
        ("logs", logs),
        ("traces", traces),
        ("report", report),
        ("metrics", metrics),
        ("readyz", ready),
    ] {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {place}");
        }
        assert!(answer.len() < 20 || !text.contains(&answer), "the answer in {place}");
    }
}
