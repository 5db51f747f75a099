//! The list of requests, by which clients and fields are taken or refused: `tests/compatibility/`.

use crate::front::{Front, GOOD, block};
use crate::rig::{MODEL, Rig, chat, with};
use crate::vllm::Script;
use personaguard_compatibility::{Answer, Entry as _, Outcome, RequestEntry, requests};
use serde_json::{Value, json};

/// A sound request to a path.
fn sound(path: &str) -> Value {
    match path {
        "/v1/completions" => {
            json!({ "model": MODEL, "prompt": "Hi", "max_tokens": 8, "temperature": 0 })
        }
        "/v1/responses" => {
            json!({ "model": MODEL, "input": "Hi", "max_output_tokens": 8, "temperature": 0 })
        }
        "/v1/messages" => {
            json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }],
                "max_tokens": 8, "temperature": 0 })
        }
        "/v1/chat/completions" => chat("Hi"),
        _ => json!({ "model": MODEL }),
    }
}

/// What is sent for an entry.
fn body(entry: &RequestEntry, path: &str) -> String {
    if let Some(text) = &entry.text {
        return text.clone();
    }
    let mut body = with(sound(path), Value::Object(entry.fields.clone()));
    for field in &entry.without {
        body.as_object_mut().unwrap().remove(field).unwrap();
    }
    body.to_string()
}

/// What was written, without what differs from answer to answer.
fn written(answer: &Value) -> Value {
    let said = answer.get("choices").or_else(|| answer.get("content"));
    said.unwrap_or(&answer["output"][0]["content"]).clone()
}

async fn send(rig: &Rig, path: &str, body: String) -> (u16, Value) {
    let request = rig.http.post(format!("{}{path}", rig.url)).body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// What becomes of an entry's request. One that is taken is ignored where its answer is that of the
/// sound request and the list says so.
async fn outcome(rig: &Rig, entry: &RequestEntry, path: &str) -> Outcome {
    let (status, answer) = send(rig, path, body(entry, path)).await;
    if status == 200 {
        let is_ignored = entry.expected().answer == Answer::Ignored
            && written(&answer) == written(&send(rig, path, sound(path).to_string()).await.1);
        return Outcome::taken(if is_ignored { Answer::Ignored } else { Answer::Works });
    }
    let error = |key: &str| answer["error"][key].as_str().map(str::to_owned);
    Outcome {
        answer: Answer::Refused,
        status: Some(status).filter(|status| *status != 400),
        param: error("param"),
        message: error("message"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn issue_19_each_request_of_the_list_is_taken_or_refused_in_these_words() {
    let rig = Rig::ready(vec![]).await;
    let front = Front::ready(vec![block()]).await;
    front.vllm.play(Script::of(&GOOD));
    let mut problems = Vec::new();
    for section in requests().unwrap() {
        let rig = if section.in_front_of_vllm { &front.rig } else { &rig };
        let mut found = Vec::new();
        for entry in &section.entries {
            let path = entry.path.as_deref().unwrap_or(&section.path);
            found.push(outcome(rig, entry, path).await);
        }
        problems.extend(section.settle(&found).err().map(|error| error.to_string()));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let answer = rig.complete(&chat("Hi")).await;
    assert_eq!(answer["model"], MODEL, "it still serves");
}
