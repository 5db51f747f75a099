//! Answers as vLLM writes them.

use super::{End, PROMPT, Script, Teller};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

fn usage(tokens: usize) -> Value {
    let prompt = PROMPT as usize;
    json!({
        "prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens,
    })
}

fn reasons(end: End) -> (&'static str, Value) {
    match end {
        End::Eos => ("stop", Value::Null),
        End::Length => ("length", Value::Null),
        End::StopString => ("stop", json!("END")),
    }
}

fn prompt_ids() -> Value {
    json!((1..=PROMPT).collect::<Vec<_>>())
}

/// In one piece.
pub(super) fn whole(script: &Script, path: &str, asked: &Value) -> Value {
    let (text, written) = (script.text(script.tokens.len()), script.written());
    let counts = json!({ "input_tokens": PROMPT, "output_tokens": written });
    if path.ends_with("messages") {
        let reason = if script.end == End::Length { "max_tokens" } else { "end_turn" };
        return json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{ "type": "text", "text": text }], "stop_reason": reason,
            "stop_sequence": null, "usage": counts,
        });
    }
    if path.ends_with("responses") {
        let status = if script.end == End::Length { "incomplete" } else { "completed" };
        let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
        return json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
            "output": [{ "type": "message", "id": "msg_1", "role": "assistant",
                         "status": "completed", "content": content }],
            "usage": counts,
        });
    }
    let (finish, stop) = reasons(script.end);
    let ids: Vec<_> = (100..100 + written).collect();
    let mut body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text },
                      "finish_reason": finish, "stop_reason": stop }],
        "usage": usage(written),
    });
    if asked["return_token_ids"] == true {
        body["prompt_token_ids"] = prompt_ids();
        body["choices"][0]["token_ids"] = json!(ids);
    }
    body
}

/// As a stream, while it is measured.
pub(super) async fn write(
    teller: Teller,
    script: Script,
    path: &str,
    asked: &Value,
    events: &mpsc::Sender<String>,
) {
    let (is_messages, is_responses) = (path.ends_with("messages"), path.ends_with("responses"));
    let options = &asked["stream_options"];
    let (last, each) = (
        options["include_usage"] == true,
        options["include_usage"] == true && options["continuous_usage_stats"] == true,
    );
    let gives_ids = asked["return_token_ids"] == true;
    let mut begin = chunk(json!({ "role": "assistant", "content": "" }), None);
    if gives_ids {
        begin["prompt_token_ids"] = prompt_ids();
    }
    if each {
        begin["usage"] = usage(0);
    }
    teller.prompt();
    let begin = match (is_messages, is_responses) {
        (true, _) => {
            let message = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m",
                "stop_reason": null, "stop_sequence": null,
                "usage": { "input_tokens": PROMPT, "output_tokens": 0 },
            });
            let block = json!({ "type": "text", "text": "" });
            named(json!({ "type": "message_start", "message": message }))
                + &named(json!({
                    "type": "content_block_start", "index": 0, "content_block": block
                }))
        }
        (_, true) => {
            let mut response = whole(&script, path, asked);
            (response["status"], response["output"]) = (json!("in_progress"), json!([]));
            response["usage"] = Value::Null;
            named(json!({ "type": "response.created", "response": response }))
                + &named(json!({ "type": "response.output_item.added", "output_index": 0, "item": {
                    "type": "message", "id": "msg_1", "role": "assistant", "content": [],
                    "status": "in_progress" } }))
        }
        (false, false) => event(&begin),
    };
    if events.send(begin).await.is_err() {
        return;
    }
    let (mut text, mut ids) = (String::new(), Vec::new());
    for number in 0..script.written() {
        if number > 0 {
            teller.token(number - 1);
        }
        teller.shared.written.fetch_add(1, Ordering::Relaxed);
        let is_end = number + 1 == script.written();
        ids.push(100 + number);
        if let Some((word, _)) = script.tokens.get(number)
            && !script.swallowed.contains(&number)
        {
            text += word;
        }
        if is_end || (number + 1) % script.merge == 0 {
            let (finish, stop) = reasons(script.end);
            let sent = if is_messages {
                let delta = json!({ "type": "text_delta", "text": std::mem::take(&mut text) });
                named(json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
            } else if is_responses {
                named(json!({
                    "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
                    "content_index": 0, "delta": std::mem::take(&mut text), "logprobs": [],
                }))
            } else if text.is_empty() && !is_end && !gives_ids {
                String::new()
            } else {
                let delta = match text.is_empty() && !is_end {
                    true => json!({}),
                    false => json!({ "content": std::mem::take(&mut text) }),
                };
                let mut chunk = chunk(delta, is_end.then_some((finish, stop)));
                if gives_ids {
                    chunk["choices"][0]["token_ids"] = json!(std::mem::take(&mut ids));
                }
                if each {
                    chunk["usage"] = usage(number + 1);
                }
                event(&chunk)
            };
            if events.send(sent).await.is_err() {
                return;
            }
        }
        match script.pace {
            Some(pace) => tokio::time::sleep(pace).await,
            None => tokio::task::yield_now().await,
        }
    }
    let end = if is_messages {
        let reason = if script.end == End::Length { "max_tokens" } else { "end_turn" };
        named(json!({ "type": "content_block_stop", "index": 0 }))
            + &named(json!({
                "type": "message_delta",
                "delta": { "stop_reason": reason, "stop_sequence": null },
                "usage": { "input_tokens": PROMPT, "output_tokens": script.written() },
            }))
            + &named(json!({ "type": "message_stop" }))
    } else if is_responses {
        let response = whole(&script, path, asked);
        let said = response["output"][0]["content"][0]["text"].clone();
        let kind = match script.end {
            End::Length => "response.incomplete",
            End::Eos | End::StopString => "response.completed",
        };
        named(json!({
            "type": "response.output_text.done", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "text": said,
        })) + &named(json!({ "type": kind, "response": response }))
    } else {
        let mut end = chunk(json!({}), None);
        end["choices"] = json!([]);
        end["usage"] = usage(script.written());
        let usage = if last { event(&end) } else { String::new() };
        usage + "data: [DONE]\n\n"
    };
    let _ = events.send(end).await;
    // The last rows come a little after the answer.
    tokio::time::sleep(script.late.unwrap_or_default()).await;
}

fn chunk(delta: Value, finish: Option<(&str, Value)>) -> Value {
    let mut choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
    if let Some((reason, stop)) = finish {
        (choice["finish_reason"], choice["stop_reason"]) = (json!(reason), stop);
    }
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [choice],
    })
}

fn event(payload: &Value) -> String {
    format!("data: {payload}\n\n")
}

fn named(payload: Value) -> String {
    format!("event: {}\ndata: {payload}\n\n", payload["type"].as_str().unwrap())
}
