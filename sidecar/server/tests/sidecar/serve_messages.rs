//! Anthropic's `/v1/messages` in placement Serve.

use crate::rig::{MODEL, Rig, chat, policy, redact, text, with};
use personaguard_terms::Action;
use serde_json::{Value, json};

async fn ask(rig: &Rig, path: &str, body: &Value) -> (u16, String) {
    let response = rig.http.post(format!("{}{path}", rig.url)).json(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn message(rig: &Rig, body: &Value) -> Value {
    let (status, body) = ask(rig, "/v1/messages", body).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The events of a stream, each under its own name.
async fn events(rig: &Rig, body: &Value) -> Vec<Value> {
    let body = with(body.clone(), json!({ "stream": true }));
    let (status, stream) = ask(rig, "/v1/messages", &body).await;
    assert_eq!(status, 200, "{stream}");
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        Some(data)
    };
    stream.split("\n\n").filter_map(event).collect()
}

/// The message that a client makes of events.
fn made(events: &[Value]) -> Value {
    let mut message = events[0]["message"].clone();
    assert_eq!(events[0]["type"], "message_start");
    let mut inputs = String::new();
    for event in &events[1..] {
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(index, content.len());
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                for field in ["text", "thinking"] {
                    if let Some(more) = event["delta"][field].as_str() {
                        let said = message["content"][index][field].as_str().unwrap();
                        message["content"][index][field] = json!(format!("{said}{more}"));
                    }
                }
                inputs += event["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            "content_block_stop" => {
                if message["content"][index]["type"] == "tool_use" {
                    let input = std::mem::take(&mut inputs);
                    message["content"][index]["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            "message_delta" => {
                for field in ["stop_reason", "stop_sequence"] {
                    message[field] = event["delta"][field].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => {}
            other => panic!("{other}: {event}"),
        }
    }
    message
}

fn asking() -> Value {
    let same = chat("Tell me about the sea.");
    json!({ "model": MODEL, "messages": same["messages"], "max_tokens": same["max_tokens"],
        "temperature": same["temperature"], "seed": same["seed"] })
}

fn input_tokens(message: &Value) -> u64 {
    let usage = &message["usage"];
    usage["input_tokens"].as_u64().unwrap() + usage["cache_read_input_tokens"].as_u64().unwrap()
}

fn tools() -> Value {
    let pier = json!({ "enum": ["north", "south"] });
    let schema = json!({ "type": "object", "properties": { "pier": pier }, "required": ["pier"],
        "additionalProperties": false });
    json!([{ "name": "list_boats", "description": "Lists boats", "cache_control": null,
        "input_schema": schema }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_what_a_chat_says() {
    let rig = Rig::ready(vec![]).await;
    let expected = rig.complete(&chat("Tell me about the sea.")).await;
    let whole = message(&rig, &asking()).await;
    assert_eq!(whole["content"], json!([{ "type": "text", "text": text(&expected) }]));
    assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(whole["stop_reason"], "max_tokens");
    assert_eq!(input_tokens(&whole), expected["usage"]["prompt_tokens"].as_u64().unwrap());
    assert_eq!(whole["usage"]["output_tokens"], expected["usage"]["completion_tokens"]);
    let events = events(&rig, &asking()).await;
    let streamed = made(&events);
    for field in ["content", "stop_reason", "model"] {
        assert_eq!(streamed[field], whole[field]);
    }
    assert_eq!(input_tokens(&streamed), input_tokens(&whole));
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], input_tokens(&whole));
    let (status, count) = ask(&rig, "/v1/messages/count_tokens", &asking()).await;
    let count: Value = serde_json::from_str(&count).unwrap();
    assert_eq!((status, &count["input_tokens"]), (200, &json!(input_tokens(&whole))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_prompt_and_blocks_are_those_of_a_chat() {
    let rig = Rig::ready(vec![]).await;
    let blocks = |text: &str| json!([{ "type": "text", "text": text, "cache_control": null }]);
    let question = json!([{ "role": "user", "content": blocks("Tell me about the sea.") }]);
    let fields = json!({ "system": blocks("Be brief."), "messages": question,
        "thinking": { "type": "adaptive" }, "metadata": { "user_id": "u" } });
    let whole = message(&rig, &with(asking(), fields)).await;
    let system = json!({ "role": "system", "content": "Be brief." });
    let same = chat("Tell me about the sea.");
    let messages = json!([system, same["messages"][0]]);
    let expected = rig.complete(&with(same, json!({ "messages": messages }))).await;
    assert_eq!(whole["content"][0]["text"], text(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_goes_on() {
    let rig = Rig::ready(vec![]).await;
    let question = json!({ "role": "user", "content": "Tell me about the sea." });
    let begun = json!([question, { "role": "assistant", "content": "The sea" }]);
    let whole = message(&rig, &with(asking(), json!({ "messages": begun }))).await;
    let goes_on = json!({ "messages": begun, "continue_final_message": true });
    let expected = rig.complete(&with(chat("Hi"), goes_on)).await;
    assert_eq!(whole["content"][0]["text"], text(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_called_and_their_results_read() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let choice = json!({ "type": "any", "disable_parallel_tool_use": true });
    let fields = json!({ "tools": tools(), "tool_choice": choice, "max_tokens": 200 });
    let asked = with(asking(), fields);
    let whole = message(&rig, &asked).await;
    let call = &whole["content"][0];
    assert_eq!((&call["type"], &whole["stop_reason"]), (&json!("tool_use"), &json!("tool_use")));
    assert!(call["id"].as_str().unwrap().starts_with("toolu_"), "{call}");
    assert!(call["input"]["pier"].is_string(), "{call}");
    let streamed = made(&events(&rig, &asked).await);
    assert_eq!(streamed["content"][0]["input"], call["input"]);
    assert_eq!(streamed["stop_reason"], "tool_use");
    // The next turn, with what was thought, and an answer beside the result.
    let thought = json!({ "type": "thinking", "thinking": "Boats.", "signature": "" });
    let result = |content: Value| {
        let id = &call["id"];
        json!({ "type": "tool_result", "tool_use_id": id, "content": content })
    };
    for content in [json!("Ada"), json!([{ "type": "text", "text": "Ada" }]), json!(null)] {
        let messages = json!([
            asking()["messages"][0],
            { "role": "assistant", "content": [thought, call] },
            { "role": "user", "content": [result(content), { "type": "text", "text": "So?" }] },
        ]);
        let next = with(asking(), json!({ "messages": messages, "tools": tools() }));
        assert!(input_tokens(&message(&rig, &next).await) > input_tokens(&whole));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sequence_that_stopped_it_is_named() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let said = message(&rig, &asking()).await;
    let said = said["content"][0]["text"].as_str().unwrap();
    let stop: String = said.chars().skip(4).take(3).collect();
    let asked = with(asking(), json!({ "stop_sequences": ["never said", stop] }));
    let whole = message(&rig, &asked).await;
    let streamed = made(&events(&rig, &asked).await);
    for stopped in [&whole, &streamed] {
        let end = (&stopped["stop_reason"], &stopped["stop_sequence"]);
        assert_eq!(end, (&json!("stop_sequence"), &json!(stop)));
        let before = said.split(&stop).next().unwrap();
        assert_eq!(stopped["content"][0]["text"].as_str().unwrap_or_default(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_held_to() {
    let rig = Rig::ready(vec![]).await;
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": { "a": { "type": "boolean" } } });
    let format = json!({ "type": "json_schema", "schema": schema });
    for fields in [
        json!({ "output_config": { "format": format, "effort": "low" } }),
        json!({ "output_format": format }),
    ] {
        let whole = message(&rig, &with(asking(), fields)).await;
        let said: Value =
            serde_json::from_str(whole["content"][0]["text"].as_str().unwrap()).unwrap();
        assert!(said["a"].is_boolean(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_message_is_a_refusal_without_words() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    let forced = json!({ "tools": tools(), "tool_choice": { "type": "any" } });
    for asked in [asking(), with(asking(), forced)] {
        let whole = message(&rig, &asked).await;
        assert_eq!((&whole["content"], &whole["stop_reason"]), (&json!([]), &json!("refusal")));
        let streamed = made(&events(&rig, &asked).await);
        assert_eq!(
            (&streamed["content"], &streamed["stop_reason"]),
            (&json!([]), &json!("refusal"))
        );
    }
    assert_eq!(rig.sidecar().app().report().totals.blocked, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_message_has_the_policys_text() {
    let rig = Rig::ready(vec![policy(redact(), Some(-1e6))]).await;
    let removed = json!([{ "type": "text", "text": "[removed]" }]);
    assert_eq!(message(&rig, &asking()).await["content"], removed);
    let streamed = made(&events(&rig, &asking()).await);
    assert_eq!((&streamed["content"], &streamed["stop_reason"]), (&removed, &json!("refusal")));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_shape_of_that_api() {
    let rig = Rig::ready(vec![]).await;
    let image = json!({ "type": "image", "source": { "type": "base64", "data": "AAAA" } });
    for (fields, status, kind, param) in [
        (json!({ "messages": null }), 400, "invalid_request_error", "messages"),
        (json!({ "model": "other" }), 404, "not_found_error", "model"),
        (json!({ "temperature": -1 }), 400, "invalid_request_error", "temperature"),
        (json!({ "stop_sequences": [""] }), 400, "invalid_request_error", "stop_sequences"),
        (
            json!({ "messages": [{ "role": "user", "content": [image] }] }),
            400,
            "invalid_request_error",
            "messages[0].content[0].type",
        ),
        (
            json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
            400,
            "invalid_request_error",
            "tools[0].type",
        ),
    ] {
        let (found, body) = ask(&rig, "/v1/messages", &with(asking(), fields)).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, &body["type"]), (status, &json!("error")), "{body}");
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert_eq!(body["error"]["param"], param, "{body}");
        assert!(body["error"]["message"].is_string(), "{body}");
    }
}
