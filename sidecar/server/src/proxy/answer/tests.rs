use super::*;
use serde_json::json;

fn naming(api: Api) -> Naming {
    Naming::new(api, "m-1".to_owned())
}

fn taken(api: Api, part: Part, payload: &Value) -> Result<(Vec<ChoiceDelta>, Value), Unreadable> {
    let mut kept = payload.clone();
    let deltas = read(&naming(api), part, &mut kept, &|_| false)?;
    Ok((deltas, kept))
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn one(choice: Value) -> ChoiceDelta {
    taken(Api::Chat, Part::Event, &json!({ "choices": [choice] })).unwrap().0.remove(0)
}

#[test]
fn everything_that_leaves_is_read() {
    let said = json!({ "index": 1, "delta": { "role": "assistant", "content": "Hi" } });
    assert_eq!(one(said).text, "Hi");
    let ended = json!({ "text": " there", "finish_reason": "length" });
    assert_eq!(one(ended).finish, Some(Finish::Length));
    let call = json!({ "message": { "content": null, "tool_calls": [{ "id": "call_1",
        "type": "function", "function": { "name": "mail", "arguments": "{\"to\": 1}" } }] } });
    assert_eq!(one(call).text, "mail{\"to\": 1}");
    let thought =
        json!({ "delta": { "content": "x", "reasoning_content": "hm", "refusal": "no" } });
    assert_eq!(one(thought).text, "hmxno", "in the order in which models write");
    let parts = json!({ "message": { "content": [{ "type": "text", "text": "a" }] } });
    assert_eq!(one(parts).text, "a");
    for nothing in [json!({ "choices": [], "usage": {} }), json!({ "error": { "message": "no" } })]
    {
        assert_eq!(taken(Api::Chat, Part::Event, &nothing).unwrap().0, []);
    }
}

/// What is called reasoning is told as such: the bytes that a text begins with.
#[test]
fn reasoning_is_told_apart_in_every_api() {
    let thought = |api, part, payload: &Value| {
        let (deltas, _) = taken(api, part, payload).unwrap();
        deltas.iter().map(|delta| delta.text[..delta.reasoning].to_owned()).collect::<String>()
    };
    let message =
        json!({ "choices": [{ "message": { "content": "b", "reasoning_content": "a" } }] });
    assert_eq!(thought(Api::Chat, Part::Whole, &message), "a");
    let delta = json!({ "choices": [{ "delta": { "thinking": "a" } }] });
    assert_eq!(thought(Api::Chat, Part::Event, &delta), "a");
    let delta = json!({ "choices": [{ "delta": { "content": "a", "refusal": "b" } }] });
    assert_eq!(thought(Api::Chat, Part::Event, &delta), "");
    let block = |kind: &str, text: &str| {
        json!({ "type": kind, (if kind == "text" { "text" }
        else { "thinking" }): text })
    };
    let blocks = [block("thinking", "a"), block("text", "b"), block("thinking", "c")];
    let body = json!({ "content": blocks });
    assert_eq!(thought(Api::Messages, Part::Whole, &body), "a");
    let delta = json!({ "type": "content_block_delta", "index": 0,
        "delta": { "type": "thinking_delta", "thinking": "a" } });
    assert_eq!(thought(Api::Messages, Part::Event, &delta), "a");
    let item = |kind: &str, part: Value| json!({ "type": kind, "content": [part] });
    let output = [
        item("reasoning", json!({ "type": "reasoning_text", "text": "a" })),
        item("message", json!({ "type": "output_text", "text": "b" })),
    ];
    let body = json!({ "output": output });
    assert_eq!(thought(Api::Responses, Part::Whole, &body), "a");
    for (name, reasoning) in [("reasoning_text", "a"), ("output_text", "")] {
        let delta = json!({ "type": format!("response.{name}.delta"), "delta": "a" });
        assert_eq!(thought(Api::Responses, Part::Event, &delta), reasoning);
    }
}

#[test]
fn a_text_that_is_told_in_several_fields_is_scored_once() {
    let all = json!({ "delta": { "reasoning": "so", "reasoning_content": "so",
        "reasoning_details": [{ "type": "reasoning.text", "text": "so" }] } });
    assert_eq!(one(all).text, "so");
    let other = json!({ "delta": { "reasoning": "so", "reasoning_content": "or so" } });
    assert_eq!(one(other).text, "soor so");
}

#[test]
fn an_empty_finish_reason_is_none() {
    let empty = json!({ "choices": [{ "delta": { "content": "a" }, "finish_reason": "" }] });
    let (deltas, kept) = taken(Api::Chat, Part::Event, &empty).unwrap();
    assert_eq!((deltas[0].finish, &kept["choices"][0]["finish_reason"]), (None, &Value::Null));
}

#[test]
fn what_nobody_scores_stays_behind() {
    let body = json!({
        "id": "secret", "object": "secret", "model": "secret", "created": 1, "secret": 1,
        "x": "secret",
        "system_fingerprint": "the secret", "prompt_token_ids": [1], "kv_transfer_params": "secret",
        "usage": { "prompt_tokens": 3, "secret": "secret" },
        "choices": [{
            "index": 0, "finish_reason": "secret", "stop_reason": "secret", "token_ids": [1, 2],
            "message": { "role": "secret", "content": "good", "annotations": [{ "x": "secret" }],
                "x": "secret", "tool_calls": [] },
            "logprobs": { "content": [{ "token": "secret", "logprob": -1.0, "bytes": null,
                "top_logprobs": [{ "token": "secret" }] }] },
            "x": "secret",
        }],
    });
    for api in [Api::Chat, Api::Completions] {
        let (deltas, kept) = taken(api, Part::Whole, &body).unwrap();
        assert_eq!(deltas[0].text, "good");
        let kept = kept.to_string();
        assert!(!kept.contains("secret") && !kept.contains("token_ids"), "{kept}");
    }
}

#[test]
fn what_litellm_adds_leaves_without_words() {
    let own = json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "good" },
            "provider_specific_fields": {} }],
        "usage": { "prompt_tokens": 3, "cost": null,
            "completion_tokens_details": { "text_tokens": 12, "image_tokens": null } },
    });
    let (_, kept) = taken(Api::Chat, Part::Whole, &own).unwrap();
    assert_eq!((&kept["choices"], &kept["usage"]), (&own["choices"], &own["usage"]));
    let mut hostile = own;
    hostile["choices"][0]["provider_specific_fields"] = json!({ "secret": "secret" });
    hostile["usage"]["cost"] = json!("secret");
    let (_, kept) = taken(Api::Chat, Part::Whole, &hostile).unwrap();
    assert!(!kept.to_string().contains("secret"), "{kept}");
}

#[test]
fn log_probabilities_leave_with_their_text() {
    let token = |text: &str| {
        json!({ "token": text, "logprob": -0.5, "bytes": text.as_bytes(),
        "top_logprobs": [{ "token": "secret", "logprob": -9.0 }] })
    };
    let choice = json!({ "delta": { "content": "Hi you" },
        "logprobs": { "content": [token("Hi"), token(" you")] } });
    let (_, kept) = taken(Api::Chat, Part::Event, &json!({ "choices": [choice] })).unwrap();
    let tokens = &kept["choices"][0]["logprobs"]["content"];
    assert_eq!((&tokens[1]["token"], &tokens[1]["top_logprobs"]), (&json!(" you"), &json!([])));
    let text = json!({ "text": "Hi", "logprobs": { "tokens": ["H", "i"],
        "token_logprobs": [-1.0, "secret"], "top_logprobs": [{ "secret": 1 }], "text_offset": [0,
        1] } });
    let (_, kept) = taken(Api::Completions, Part::Whole, &json!({ "choices": [text] })).unwrap();
    let expected = json!({ "tokens": ["H", "i"], "token_logprobs": [-1.0], "top_logprobs": null,
        "text_offset": [0, 1] });
    assert_eq!(kept["choices"][0]["logprobs"], expected);
}

#[test]
fn errors_lose_their_words_and_keep_their_codes() {
    let error = json!({ "error": { "message": "the secret", "type": "BadRequestError", "code": 400,
        "param": "secret" } });
    let (_, kept) = taken(Api::Chat, Part::Event, &error).unwrap();
    assert_eq!(kept["error"]["type"], "BadRequestError");
    assert_eq!(kept["error"]["code"], 400);
    assert!(!kept.to_string().contains("secret"));
}

#[test]
fn plain_content_alone_is_shortened() {
    let mut plain = json!({
        "index": 1, "message": { "role": "assistant", "content": "Été. Non." }, "logprobs": {}
    });
    assert!(shorten(&mut plain, 7, "[x]"));
    assert_eq!(
        plain,
        json!({
            "index": 1, "message": { "role": "assistant", "content": "Été. [x]" }, "logprobs": null
        })
    );
    let call = json!({ "function": { "name": "a", "arguments": "b. c" } });
    for odd in [
        json!({ "message": { "content": "a. b", "reasoning": "c" } }),
        json!({ "delta": { "content": "a", "tool_calls": [call] } }),
        json!({ "text": "é" }),
    ] {
        let mut same = odd.clone();
        assert!(!shorten(&mut same, 1, ""));
        assert_eq!(same, odd);
    }
    assert!(one(json!({ "delta": { "tool_calls": [call] } })).is_whole);
    assert!(!one(json!({ "delta": { "content": "a", "tool_calls": null } })).is_whole);
}

#[test]
fn what_is_not_text_or_of_another_api_is_told_apart() {
    for odd in [
        json!([]),
        json!({ "response": "text in another format" }),
        json!({ "choices": "x" }),
        json!({ "choices": [1] }),
        json!({ "choices": [{ "index": 128 }] }),
        json!({ "choices": [{ "index": -1 }] }),
        json!({ "choices": [{ "message": { "audio": { "data": "AAAA" } } }] }),
        json!({
            "choices": [
                { "delta": { "content": [{ "type": "image_url", "image_url": { "url": "x" } }] } }
            ]
        }),
    ] {
        for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
            for part in [Part::Event, Part::Whole] {
                assert!(taken(api, part, &odd).is_err(), "{odd}");
            }
        }
    }
}

#[test]
fn messages_are_read_in_events_and_whole() {
    let event = |event: Value| {
        let (deltas, kept) = taken(Api::Messages, Part::Event, &event).unwrap();
        (deltas.into_iter().map(|delta| delta.text).collect::<String>(), kept)
    };
    let delta = |kind: &str, field: &str| {
        json!({ "type": "content_block_delta", "index": 0,
        "delta": { "type": kind, field: "said" }, "x": "secret" })
    };
    for (kind, field) in [
        ("text_delta", "text"),
        ("thinking_delta", "thinking"),
        ("input_json_delta", "partial_json"),
    ] {
        let (text, kept) = event(delta(kind, field));
        assert_eq!((text.as_str(), &kept["delta"][field]), ("said", &json!("said")));
        assert!(kept.get("x").is_none());
    }
    assert_eq!(event(delta("signature_delta", "signature")).1, json!({}));
    let start = json!({ "type": "message_start", "message": { "id": "msg_1", "content": [],
        "model": "m-1", "usage": { "input_tokens": 3 }, "x": "secret" } });
    assert_eq!(event(start).1["message"]["id"], "msg_1");
    let (deltas, _) = taken(
        Api::Messages,
        Part::Event,
        &json!({ "type": "message_delta",
        "delta": { "stop_reason": "max_tokens", "stop_sequence": "secret" } }),
    )
    .unwrap();
    assert_eq!(deltas[0].finish, Some(Finish::Length));
    let whole = json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
        "content": [{ "type": "text", "text": "Hi", "citations": ["secret"] },
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": "b" } }],
        "stop_reason": "tool_use", "stop_sequence": "secret" });
    let (deltas, kept) = taken(Api::Messages, Part::Whole, &whole).unwrap();
    assert_eq!(deltas[0].text, "Hif{\"a\":\"b\"}");
    assert!(deltas[0].is_whole && !kept.to_string().contains("secret"));
}

#[test]
fn responses_are_read_once_though_they_repeat_themselves() {
    let mut said = String::new();
    let item = |text: &str| {
        json!({ "type": "message", "id": "msg_1", "role": "assistant",
        "content": [{ "type": "output_text", "text": text, "annotations": ["secret"] }] })
    };
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1", "output": [],
            "instructions": "secret", "tools": ["secret"], "metadata": { "a": "secret" } } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item("") }),
        json!({ "type": "response.output_text.delta", "delta": "Good ", "logprobs": ["secret"] }),
        json!({ "type": "response.output_text.delta", "delta": "day" }),
        json!({ "type": "response.output_text.done", "text": "Good day" }),
        json!({ "type": "response.output_item.done", "item": item("Good day") }),
        json!({ "type": "response.web_search_call.searching", "query": "secret" }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed",
            "output": [item("Good day")] } }),
    ];
    for mut event in events {
        let known = |text: &str| is_repeated(&said, text);
        let deltas = read(&naming(Api::Responses), Part::Event, &mut event, &known).unwrap();
        assert!(!event.to_string().contains("secret"), "{event}");
        said.extend(deltas.into_iter().map(|delta| delta.text));
    }
    assert_eq!(said, "Good day");
    let late = json!({ "type": "response.output_text.done", "text": "More" });
    assert_eq!(taken(Api::Responses, Part::Event, &late).unwrap().0[0].text, "More");
    let whole = json!({ "id": "resp_1", "object": "response", "status": "completed",
        "output": [item("Good day"), { "type": "function_call", "call_id": "call_1", "name": "f",
            "arguments": "{}" }], "output_text": "secret" });
    let (deltas, kept) = taken(Api::Responses, Part::Whole, &whole).unwrap();
    assert_eq!(deltas[0].text, "Good dayf{}");
    assert!(!kept.to_string().contains("secret"));
}
