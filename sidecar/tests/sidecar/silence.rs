//! What is said in a chat stays in the chat.

use crate::rig::{Folder, LOGS, Rig, Variant, chat, policy, with};
use personaguard_crds::Action;
use serde_json::json;

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
    let answer = plain.complete(&body).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    rig.complete(&body).await;
    rig.stream(&body).await;
    assert_eq!(rig.post(&with(body.clone(), json!({ "temperature": bad }))).await.status(), 400);
    assert_eq!(rig.post(&with(body.clone(), json!({ "model": model }))).await.status(), 404);
    assert_eq!(
        rig.post(&with(body, json!({ bad: 1, "messages": [{ "role": bad, "content": bad }] }))).await.status(),
        400
    );

    let logs = String::from_utf8_lossy(&LOGS.lock().unwrap()).into_owned();
    assert!(logs.contains("\"breach\"") && logs.contains("\"response\""), "nothing was logged");
    let report = serde_json::to_string(&rig.sidecar().host().report(1)).unwrap();
    assert!(report.contains("lastBreach"));
    let metrics = rig.get("/metrics").await.1 + &plain.get("/metrics").await.1;
    let ready = rig.get("/readyz").await.1;
    for (place, text) in [("logs", logs), ("report", report), ("metrics", metrics), ("readyz", ready)] {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} in {place}");
        }
        assert!(answer.len() < 20 || !text.contains(&answer), "the answer in {place}");
    }
}
