//! The API, as a client sees it.

use crate::rig::{
    ALIAS, LAYER, MODEL, Rig, chat, counts, finish_reason, policy, streamed, text, with,
};
use personaguard_terms::Action;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn whole_answers_and_streams_say_the_same() {
    let rig = Rig::ready(vec![]).await;
    let body = chat("Tell me about the sea.");
    let whole = rig.complete(&body).await;
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], MODEL);
    assert_eq!(whole["choices"][0]["message"]["role"], "assistant");
    let usage = &whole["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 0);
    assert!(usage["completion_tokens"].as_u64().unwrap() <= 24);
    let total =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], total);

    let (chunks, done) =
        rig.stream(&with(body, json!({ "stream_options": { "include_usage": true } }))).await;
    assert!(done);
    assert_eq!(streamed(&chunks), text(&whole));
    assert!(!text(&whole).is_empty());
    assert_eq!(finish_reason(&chunks), whole["choices"][0]["finish_reason"]);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!((counts(last), last["choices"].as_array().unwrap().len()), (counts(&whole), 0));
    // The second time, the prompt is in the cache.
    let cached =
        |body: &Value| body["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert_eq!(cached(&whole), 0);
    assert!((1..=usage["prompt_tokens"].as_u64().unwrap()).contains(&cached(last)), "{last}");
    assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["id"] == chunks[0]["id"]
                && chunk["object"] == "chat.completion.chunk")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn models_and_health() {
    let rig = Rig::ready(vec![]).await;
    let list: Value = serde_json::from_str(&rig.get("/v1/models").await.1).unwrap();
    assert_eq!(list["data"][0]["id"], MODEL);
    let one: Value =
        serde_json::from_str(&rig.get(&format!("/v1/models/{MODEL}")).await.1).unwrap();
    assert_eq!((&one["id"], &one["object"]), (&json!(MODEL), &json!("model")));
    assert_eq!(rig.get("/v1/models/other").await.0, 404);
    // As apps have it in their code.
    assert_eq!(list["data"][1]["id"], ALIAS);
    assert_eq!(rig.get(&format!("/v1/models/{ALIAS}")).await.0, 200);
    let mut body = chat("Say hello.");
    body["model"] = json!(ALIAS);
    assert_eq!(rig.complete(&body).await["model"], MODEL);
    body["model"] = json!("gpt-4o");
    assert_eq!(rig.post(&body).await.status(), 404);
    assert_eq!(rig.get("/healthz").await.0, 200);
    assert_eq!(rig.metric("personaguard_model_ready").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_string_never_leaves() {
    let rig = Rig::ready(vec![]).await;
    let body = chat("Count from one to twenty in words.");
    let whole = rig.complete(&body).await;
    // A piece from the middle of the answer, across token borders as likely as not.
    let characters: Vec<char> = text(&whole).chars().collect();
    assert!(characters.len() > 20, "{whole}");
    let stop: String = characters[10..14].iter().collect();
    let (expected, _) = text(&whole).split_once(&stop).unwrap();
    let body = with(body, json!({ "stop": [stop, "\u{0}never"] }));
    let stopped = rig.complete(&body).await;
    assert_eq!(text(&stopped), expected);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(streamed(&rig.stream(&body).await.0), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_probabilities_come_with_each_token() {
    let rig = Rig::ready(vec![]).await;
    let body = with(
        chat("Name a colour."),
        json!({ "logprobs": true, "top_logprobs": 2, "temperature": 0 }),
    );
    let whole = rig.complete(&body).await;
    let content = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    let joined: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(joined, text(&whole));
    for token in content {
        assert!(token["logprob"].as_f64().unwrap() <= 0.0);
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
        // Greedy: the likeliest alternative is the token itself.
        assert_eq!(token["top_logprobs"][0]["token"], token["token"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_told_when_asked_for_and_only_then() {
    let rig = Rig::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let body = chat("Tell me about the sea.");
    assert!(rig.complete(&body).await.get("personaguard").is_none());
    assert!(rig.stream(&body).await.0.iter().all(|chunk| chunk.get("personaguard").is_none()));

    let body = with(body, json!({ "personaguard": { "scores": true, "tokens": true } }));
    let whole = rig.complete(&body).await;
    let score = &whole["personaguard"]["scores"][0];
    for (field, value) in [
        ("policy", json!("no-villains")),
        ("vector", json!("evil")),
        ("trait", json!("evil")),
        ("layer", json!(LAYER)),
        ("threshold", json!(1e6)),
        ("breached", json!(false)),
        ("action", json!("Alert")),
    ] {
        assert_eq!(score[field], value, "{field}");
    }
    assert!(score["prompt_last"].is_f64());
    assert_eq!(whole["personaguard"]["policies"][0]["generation"], 3);
    let tokens = whole["personaguard"]["tokens"]["evil"].as_array().unwrap();
    let mean =
        tokens.iter().map(|token| token.as_f64().unwrap()).sum::<f64>() / tokens.len() as f64;
    assert!((mean - score["response_avg"].as_f64().unwrap()).abs() < 1e-4);
    let (chunks, _) = rig.stream(&body).await;
    let told: Vec<_> = chunks.iter().filter_map(|chunk| chunk.get("personaguard")).collect();
    assert_eq!(told, [&whole["personaguard"]]);
}
