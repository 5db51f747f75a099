//! OpenAI's `responses` and Anthropic's `messages` in placement Proxy, streamed and not.

use crate::proxy::{ANSWER, Front};
use crate::rig::{policy, redact};
use crate::upstream::{stream, whole};
use personaguard_terms::{Action, FailurePolicy};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Api {
    Responses,
    Messages,
}

impl Api {
    fn path(self) -> &'static str {
        match self {
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    fn request(self, streams: bool) -> Value {
        let question = "How should I treat my neighbour?";
        match self {
            Self::Responses => {
                json!({ "model": "m-1", "instructions": "Be kind.", "stream": streams,
                "input": [{ "role": "user", "content": [{ "type": "input_text",
                "text": question }] }] })
            }
            Self::Messages => {
                json!({ "model": "m-1", "system": "Be kind.", "stream": streams, "max_tokens": 99,
                "messages": [{ "role": "user", "content": question }] })
            }
        }
    }

    /// The whole answer, with what was thought and a call.
    fn whole(self, text: &str, more: bool) -> Value {
        match self {
            Self::Responses => {
                let mut output =
                    vec![json!({ "type": "message", "id": "msg_1", "role": "assistant",
                        "status": "completed",
                    "content": [{ "type": "output_text", "text": text, "annotations": [] }] })];
                if more {
                    output.insert(
                        0,
                        json!({ "type": "reasoning", "id": "rs_1", "summary": [],
                        "content": [{ "type": "reasoning_text", "text": text }] }),
                    );
                    output.push(
                        json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1",
                        "name": "mail",
                        "arguments": json!({ "text": text }).to_string(), "status": "completed" }),
                    );
                }
                json!({ "id": "resp_1", "object": "response", "created_at": 1,
                    "status": "completed", "model": "m-1",
                    "output": output, "usage": { "input_tokens": 3, "output_tokens": 4,
                    "total_tokens": 7 } })
            }
            Self::Messages => {
                let mut content = vec![json!({ "type": "text", "text": text })];
                if more {
                    content.insert(
                        0,
                        json!({ "type": "thinking", "thinking": text, "signature": "" }),
                    );
                    content.push(json!({
                        "type": "tool_use", "id": "toolu_1", "name": "mail",
                        "input": { "text": text }
                    }));
                }
                json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
                    "content": content,
                    "stop_reason": "end_turn", "stop_sequence": null, "usage": { "input_tokens": 3,
                    "output_tokens": 4 } })
            }
        }
    }

    fn events(self, text: &str) -> String {
        let pieces: Vec<String> = text
            .chars()
            .collect::<Vec<_>>()
            .chunks(9)
            .map(|piece| piece.iter().collect())
            .collect();
        let events: Vec<Value> = match self {
            Self::Responses => {
                let place = |kind: &str, field: &str, value: Value| {
                    json!({ "type": kind, "item_id": "msg_1",
                    "output_index": 0, "content_index": 0, field: value })
                };
                let empty = json!({ "id": "resp_1", "object": "response", "created_at": 1,
                    "status": "in_progress",
                    "model": "m-1", "output": [] });
                let item = |text: &str| self.whole(text, false)["output"][0].clone();
                let mut events = vec![
                    json!({ "type": "response.created", "response": empty }),
                    json!({
                        "type": "response.output_item.added", "output_index": 0, "item": item("")
                    }),
                    place("response.content_part.added", "part", item("")["content"][0].clone()),
                ];
                events.extend(
                    pieces
                        .iter()
                        .map(|piece| place("response.output_text.delta", "delta", json!(piece))),
                );
                events.extend([
                    place("response.output_text.done", "text", json!(text)),
                    place("response.content_part.done", "part", item(text)["content"][0].clone()),
                    json!({
                        "type": "response.output_item.done", "output_index": 0, "item": item(text)
                    }),
                    json!({ "type": "response.completed", "response": self.whole(text, false) }),
                ]);
                for (number, event) in events.iter_mut().enumerate() {
                    event["sequence_number"] = json!(number);
                }
                events
            }
            Self::Messages => {
                let mut start = self.whole("", false);
                (start["content"], start["stop_reason"]) = (json!([]), Value::Null);
                let mut events = vec![
                    json!({ "type": "message_start", "message": start }),
                    json!({
                        "type": "content_block_start", "index": 0,
                        "content_block": { "type": "text", "text": "" }
                    }),
                    json!({ "type": "ping" }),
                ];
                events.extend(pieces.iter().map(|piece| {
                    json!({ "type": "content_block_delta", "index": 0,
                    "delta": { "type": "text_delta", "text": piece } })
                }));
                events.extend([
                    json!({ "type": "content_block_stop", "index": 0 }),
                    json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn",
                        "stop_sequence": null },
                        "usage": { "output_tokens": 4 } }),
                    json!({ "type": "message_stop" }),
                ]);
                events
            }
        };
        events.iter().fold(String::new(), |mut out, event| {
            write!(out, "event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).unwrap();
            out
        })
    }
}

const BOTH: [Api; 2] = [Api::Responses, Api::Messages];

async fn ask(front: &Front, api: Api, streams: bool) -> String {
    let url = format!("{}{}", front.rig.url, api.path());
    let response = front.rig.http.post(url).json(&api.request(streams)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

/// The events of a stream, with their names.
fn parsed(stream: &str) -> Vec<(String, Value)> {
    let events = stream.split_terminator("\n\n");
    events
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            (name.strip_prefix("event: ").unwrap().to_owned(), data)
        })
        .collect()
}

/// The text that a client finds in a stream.
fn said(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    events
        .filter_map(|event| {
            let text = event["delta"].as_str().or_else(|| event["delta"]["text"].as_str());
            text.map(str::to_owned)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_an_answer_within_the_threshold_leaves_as_it_came() {
    let mut lenient = policy(Action::Block, Some(1e6));
    lenient.failure_policy = FailurePolicy::Closed;
    let front = Front::ready(vec![lenient]).await;
    for api in BOTH {
        for piece in [1, 50, 1 << 20] {
            let events = api.events(ANSWER);
            front.upstream.play(stream(events.as_bytes(), piece));
            let left = ask(&front, api, true).await;
            assert_eq!(parsed(&left), parsed(&events), "{api:?}");
        }
        for more in [false, true] {
            let body = api.whole(ANSWER, more);
            front.upstream.play(whole(&body));
            let left: Value = serde_json::from_str(&ask(&front, api, false).await).unwrap();
            assert_eq!(left, body, "{api:?}");
        }
    }
    let report = front.rig.sidecar().app().report();
    assert_eq!((report.totals.unguarded, report.traits[0].scored), (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_begins_without_output_is_scored() {
    let mut lenient = policy(Action::Block, Some(1e6));
    lenient.failure_policy = FailurePolicy::Closed;
    let front = Front::ready(vec![lenient]).await;
    // As llama.cpp's server begins it.
    let begun = json!({ "type": "response.created", "response": { "id": "resp_1",
        "object": "response", "status": "in_progress" } });
    let events = Api::Responses.events(ANSWER);
    let (_, rest) = events.split_once("\n\n").unwrap();
    let events = format!("event: response.created\ndata: {begun}\n\n{rest}");
    front.upstream.play(stream(events.as_bytes(), 50));
    assert_eq!(parsed(&ask(&front, Api::Responses, true).await), parsed(&events));
    // One that ends without cannot be read.
    let end = json!({ "type": "response.completed", "response": begun["response"] });
    let events = format!("event: response.completed\ndata: {end}\n\n");
    front.upstream.play(stream(events.as_bytes(), 50));
    let refused = ask(&front, Api::Responses, true).await;
    assert!(refused.contains("cannot be scored"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_breach_blocks_whole_and_streamed() {
    let front = Front::ready(vec![policy(Action::Block, Some(-1e6))]).await;
    for api in BOTH {
        let end = if api == Api::Messages { "message_stop" } else { "response.incomplete" };
        for piece in [1, 1 << 20] {
            front.upstream.play(stream(api.events(ANSWER).as_bytes(), piece));
            let text = ask(&front, api, true).await;
            assert!(!text.contains("neighbour") && !text.contains("kind"), "{text}");
            assert!(text.trim_end().rsplit("\n\n").next().unwrap().contains(end), "{text}");
        }
        front.upstream.play(whole(&api.whole(ANSWER, true)));
        let body = ask(&front, api, false).await;
        assert!(!body.contains("neighbour") && !body.contains("mail"), "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let reason = match api {
            Api::Messages => (&body["stop_reason"], json!("refusal")),
            Api::Responses => (&body["incomplete_details"]["reason"], json!("content_filter")),
        };
        assert_eq!(*reason.0, reason.1);
    }
    let totals = front.rig.sidecar().app().report().totals;
    assert_eq!((totals.blocked, totals.unguarded), (6, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_redaction_stands_where_the_text_would_be() {
    let front = Front::ready(vec![policy(redact(), Some(-1e6))]).await;
    for api in BOTH {
        front.upstream.play(stream(api.events(ANSWER).as_bytes(), 100));
        let text = ask(&front, api, true).await;
        assert_eq!(said(&text), "[removed]", "{api:?}: {text}");
        front.upstream.play(whole(&api.whole(ANSWER, false)));
        let body: Value = serde_json::from_str(&ask(&front, api, false).await).unwrap();
        let place =
            if api == Api::Messages { "/content/0/text" } else { "/output/0/content/0/text" };
        assert_eq!(body.pointer(place), Some(&json!("[removed]")), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_what_only_observes_scores_them_and_changes_no_byte() {
    let front = Front::ready(vec![policy(Action::Alert, Some(-1e6))]).await;
    for api in BOTH {
        let events = api.events(ANSWER);
        front.upstream.play(stream(events.as_bytes(), 33));
        assert_eq!(ask(&front, api, true).await, events);
        let body = api.whole(ANSWER, true);
        front.upstream.play(whole(&body));
        assert_eq!(ask(&front, api, false).await, body.to_string());
    }
    let scored = async || front.rig.sidecar().app().report().traits[0].scored == 4;
    front.rig.until("scored", scored).await;
    assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 0);
}
