//! What client libraries really send, in placement Serve.

use crate::audit::{entries, files, logging_variant, replay};
use crate::rig::{
    CONTEXT_LENGTH, Folder, MODEL, Rig, Variant, chat, finish_reason, policy, streamed, text, with,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use personaguard_terms::Action;
use serde_json::{Value, json};
use tempfile::TempDir;

async fn ask(rig: &Rig, path: &str, body: Value) -> (u16, Value) {
    let answer = rig.http.post(format!("{}{path}", rig.url)).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn prompt_tokens(rig: &Rig, fields: Value) -> u64 {
    let answer = rig.complete(&with(with(chat("Hi"), json!({ "max_tokens": 1 })), fields)).await;
    answer["usage"]["prompt_tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_on_whatever_its_history_holds() {
    let rig = Rig::ready(vec![]).await;
    let call = |id: Value, arguments: Value| {
        json!({ "id": id, "type": "function", "index": 0,
            "function": { "name": "list_boats", "arguments": arguments } })
    };
    let asked = json!({ "role": "user", "content": "List my boats." });
    for arguments in [json!(""), json!(" "), json!("{\"pier\": \"nor"), json!("null"), json!(null)]
    {
        let messages = json!([
            asked,
            { "role": "assistant", "content": null, "annotations": [], "refusal": null,
                "audio": null, "function_call": null, "reasoning_content": "Boats.",
                "tool_calls": [call(json!("call_1"), arguments)] },
            { "role": "tool", "tool_call_id": "call_1", "content": "[\"Ada\"]" },
            { "role": "assistant", "content": null, "tool_calls": [] },
            { "role": "system", "content": "Be brief." },
            { "role": "user", "name": "ann", "content": [{ "type": "text", "text": "And now?",
                "cache_control": { "type": "ephemeral" } }] },
        ]);
        let tokens = prompt_tokens(&rig, json!({ "messages": messages })).await;
        assert!(tokens > prompt_tokens(&rig, json!({ "messages": [asked] })).await);
    }
    // Cut at its start, and with a result that says nothing.
    let messages = json!([
        { "role": "tool", "tool_call_id": "gone", "content": null },
        { "role": "tool", "content": [] },
        { "role": "assistant" },
        asked,
    ]);
    prompt_tokens(&rig, json!({ "messages": messages })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tokens_than_are_left_are_cut_to_what_is_left() {
    let context = 256;
    let mut folder = Folder::new(vec![policy(Action::Alert, Some(1e6))]).await;
    folder.config.model.context_length = context;
    folder.write();
    let rig = Rig::start(folder, Variant::default()).await;
    rig.until_ready().await;
    let prompt = with(chat("sea ".repeat(200).trim()), json!({ "ignore_eos": true }));
    for most in [json!(32_000), json!(context), json!(u64::MAX), json!(1e30), json!(-1)] {
        let answer = rig.complete(&with(prompt.clone(), json!({ "max_tokens": most }))).await;
        assert_eq!(answer["choices"][0]["finish_reason"], "length", "{most}");
        assert_eq!(answer["usage"]["total_tokens"], context, "{most}");
    }
    let full = rig.post(&chat("sea ".repeat(300).trim())).await;
    assert_eq!(full.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_tokens_to_write_the_prompt_is_only_read() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let body = with(chat("Tell me about the sea."), json!({ "max_tokens": 0 }));
    let answer = rig.complete(&body).await;
    assert_eq!((text(&answer), &answer["choices"][0]["finish_reason"]), ("", &json!("length")));
    assert_eq!(answer["usage"]["completion_tokens"], 0);
    let (chunks, done) = rig.stream(&body).await;
    assert_eq!((streamed(&chunks).as_str(), finish_reason(&chunks), done), ("", "length", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn samplers_of_other_servers_do_what_they_do_there() {
    let rig = Rig::ready(vec![]).await;
    let greedy = with(chat("Tell me about the sea."), json!({ "temperature": 0 }));
    let plain = rig.complete(&greedy).await;
    let asking = async |fields: Value| rig.complete(&with(greedy.clone(), fields)).await;
    assert_eq!(text(&asking(json!({ "repetition_penalty": 1, "top_k": -1 })).await), text(&plain));
    let varied = asking(json!({ "repetition_penalty": 1.5 })).await;
    assert_ne!(text(&varied), text(&plain));
    let long = asking(json!({ "ignore_eos": true, "max_tokens": 200 })).await;
    assert_eq!(long["usage"]["completion_tokens"], 200);
    let long = asking(json!({ "min_tokens": 150, "max_tokens": 200, "stop": [" "] })).await;
    assert!(long["usage"]["completion_tokens"].as_u64().unwrap() > 150, "{long}");
    // The one token that is left is written over and over.
    let biased = asking(json!({ "logit_bias": { "65": 100 }, "max_tokens": 3 })).await;
    let token = biased["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(token.chars().collect::<std::collections::HashSet<_>>().len(), 1, "{token}");
    let stopped = asking(json!({ "logit_bias": { "65": 100 }, "stop_token_ids": [65] })).await;
    assert_eq!((text(&stopped), &stopped["choices"][0]["finish_reason"]), ("", &json!("stop")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_by_vllms_names_is_held_to() {
    let rig = Rig::ready(vec![]).await;
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["a"],
        "properties": { "a": { "type": "boolean" } } });
    for fields in [
        json!({ "guided_json": schema }),
        json!({ "guided_json": schema.to_string() }),
        json!({ "structured_outputs": { "json": schema } }),
    ] {
        let answer = rig.complete(&with(chat("Yes or no?"), fields)).await;
        let said: Value = serde_json::from_str(text(&answer)).unwrap();
        assert!(said["a"].is_boolean(), "{said}");
    }
    let choices = json!(["yes, always", "no \"never\"/"]);
    for fields in [
        json!({ "guided_choice": choices }),
        json!({ "structured_outputs": { "choice": choices } }),
        json!({ "guided_regex": "yes, always|no \"never\"/" }),
    ] {
        let answer = rig.complete(&with(chat("Yes or no?"), fields.clone())).await;
        assert!(choices.as_array().unwrap().contains(&json!(text(&answer))), "{fields}: {answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_forgiven_their_slashes_and_versions() {
    let rig = Rig::ready(vec![]).await;
    let body = with(chat("Hi"), json!({ "max_tokens": 1 }));
    for path in [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/chat/completions",
        "/v1/v1/chat/completions",
    ] {
        let answer = rig.http.post(format!("{}{path}", rig.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    for path in ["/models", "/v1/models/", "/healthz/"] {
        assert_eq!(rig.get(path).await.0, 200, "{path}");
        let head = rig.http.head(format!("{}{path}", rig.url)).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_ask() {
    let rig = Rig::ready(vec![]).await;
    let preflight = async |path: &str| {
        let request = rig.http.request(reqwest::Method::OPTIONS, format!("{}{path}", rig.url));
        let asked = [
            ("origin", "http://localhost:5173"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let request =
            asked.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    };
    let allowed = preflight("/v1/chat/completions").await;
    assert_eq!(allowed.status(), 200);
    for (name, value) in [
        ("access-control-allow-origin", "http://localhost:5173"),
        ("access-control-allow-headers", "authorization,content-type"),
    ] {
        assert_eq!(allowed.headers()[name], value);
    }
    assert!(allowed.headers()["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    assert!(allowed.headers().get("access-control-allow-credentials").is_none());
    let metrics = preflight("/metrics").await;
    assert!(metrics.headers().get("access-control-allow-origin").is_none());
    // An error can be read, too.
    let request = rig.http.post(format!("{}/v1/chat/completions/", rig.url));
    let refused = request.header("origin", "http://a").body("{").send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.headers()["access-control-allow-origin"], "http://a");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_an_id_of_the_clients_or_ours() {
    let rig = Rig::ready(vec![]).await;
    let id = async |given: Option<&str>| {
        let request = rig.http.get(format!("{}/v1/models", rig.url));
        let request = given.into_iter().fold(request, |r, id| r.header("x-request-id", id));
        let answer = request.send().await.unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(Some("req-7")).await, "req-7");
    let ours = id(None).await;
    assert!(ours.len() == 32 && ours != id(None).await, "{ours}");
    assert_ne!(id(Some("a b")).await, "a b");
    assert_ne!(id(Some(&"x".repeat(200))).await, "x".repeat(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_texts_and_chats_are_told_and_turned_back() {
    let rig = Rig::ready(vec![]).await;
    let ask = async |path, body| ask(&rig, path, body).await;
    let (status, told) = ask("/tokenize", json!({ "prompt": "Hi <|im_end|>" })).await;
    assert_eq!((status, &told["max_model_len"]), (200, &json!(CONTEXT_LENGTH)), "{told}");
    assert_eq!(told["count"], told["tokens"].as_array().unwrap().len());
    assert!(told["token_strs"].is_null());
    let (_, text) = ask("/detokenize", json!({ "tokens": told["tokens"] })).await;
    assert_eq!(text, json!({ "prompt": "Hi <|im_end|>" }));
    // A chat has the tokens that its answer is written after.
    let body = chat("Hi");
    let spelt = json!({ "messages": body["messages"], "return_token_strs": true });
    let (_, told) = ask("/v1/tokenize/", spelt).await;
    let answer = rig.complete(&with(body, json!({ "max_tokens": 1 }))).await;
    assert_eq!(told["count"], answer["usage"]["prompt_tokens"], "{told}");
    assert_eq!(
        told["token_strs"].as_array().unwrap().len(),
        told["tokens"].as_array().unwrap().len()
    );
    assert_eq!(told["token_strs"][0], "<|im_start|>");
    for (path, body, param) in [
        ("/tokenize", json!({}), "prompt"),
        ("/tokenize", json!({ "prompt": 1 }), "prompt"),
        ("/tokenize", json!({ "messages": [] }), "messages"),
        ("/detokenize", json!({}), "tokens"),
        ("/detokenize", json!({ "tokens": [99_999_999] }), "tokens"),
        ("/detokenize", json!({ "tokens": [-1] }), "tokens"),
    ] {
        let (status, error) = ask(path, body.clone()).await;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(param)), "{body}: {error}");
    }
    assert_eq!(ask("/tokenize", json!({ "model": "x", "prompt": "" })).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_thinks_is_told_apart_whole_and_streamed() {
    let rig = Rig::ready(vec![policy(Action::Block, Some(1e6))]).await;
    // The prompt ends within reasoning, which this model does not end.
    let asked = chat("Tell me about the sea.")["messages"][0].clone();
    let thinking = with(
        chat(""),
        json!({
            "messages": [asked, { "role": "assistant", "content": "<think>" }],
            "continue_final_message": true,
        }),
    );
    let as_written = with(thinking.clone(), json!({ "reasoning_format": "none" }));
    let written = text(&rig.complete(&as_written).await).trim().to_owned();
    assert!(!written.is_empty());
    let whole = rig.complete(&thinking).await;
    let message = &whole["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning"]), (&json!(""), &json!(written)));
    assert_eq!(message["reasoning_content"], written);
    let (chunks, done) = rig.stream(&thinking).await;
    for field in ["reasoning_content", "reasoning"] {
        let thought: String =
            chunks.iter().filter_map(|c| c["choices"][0]["delta"][field].as_str()).collect();
        assert_eq!((thought.as_str(), done), (written.as_str(), true));
    }
    assert_eq!(streamed(&chunks), "");
    let hidden = rig.complete(&with(thinking, json!({ "include_reasoning": false }))).await;
    assert_eq!(text(&hidden), "");
    assert!(hidden["choices"][0]["message"].get("reasoning").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_have_embeddings_of_length_one_that_tell_them_apart() {
    let rig = Rig::ready(vec![]).await;
    let ask = async |path, fields| ask(&rig, path, with(json!({ "model": MODEL }), fields)).await;
    let embed = async |fields| ask("/v1/embeddings", fields).await;
    let vectors = |answer: &Value| -> Vec<Vec<f64>> {
        let data = answer["data"].as_array().unwrap().iter();
        data.map(|one| serde_json::from_value(one["embedding"].clone()).unwrap()).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let texts = json!(["The sea is calm.", "The sea is quite calm.", "fn main() {}"]);
    let (status, answer) = embed(json!({ "input": texts })).await;
    assert_eq!((status, &answer["object"]), (200, &json!("list")), "{answer}");
    let all = vectors(&answer);
    assert!(all.iter().all(|vector| (dot(vector, vector) - 1.0).abs() < 1e-5));
    assert!(dot(&all[0], &all[1]) > dot(&all[0], &all[2]), "what is alike is near");
    assert_eq!(answer["data"][2]["index"], 2);
    // One text, its tokens, and numbers as OpenAI's client asks for them are the same.
    let (_, one) = embed(json!({ "input": texts[0] })).await;
    assert!(dot(&vectors(&one)[0], &all[0]) > 0.9999);
    let (_, tokens) = ask("/tokenize", json!({ "prompt": texts[0] })).await;
    let (_, by_tokens) = embed(json!({ "input": tokens["tokens"] })).await;
    assert_eq!(by_tokens["usage"]["prompt_tokens"], tokens["count"]);
    assert!(dot(&vectors(&by_tokens)[0], &all[0]) > 0.9999);
    let (_, packed) = embed(json!({ "input": texts[0], "encoding_format": "base64" })).await;
    let bytes = BASE64_STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let unpacked: Vec<f64> = bytes
        .chunks_exact(4)
        .map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap())))
        .collect();
    assert!(dot(&unpacked, &all[0]) > 0.9999);
    for (fields, param) in [
        (json!({ "input": "" }), json!("input")),
        (json!({ "input": [] }), json!("input")),
        (json!({ "input": [{}] }), json!("input")),
        (json!({ "input": "a", "dimensions": 7 }), json!("dimensions")),
        (json!({ "input": "a", "encoding_format": "int8" }), json!("encoding_format")),
        (json!({}), json!("input")),
    ] {
        let (status, answer) = embed(fields.clone()).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &param), "{fields}: {answer}");
    }
    let (status, _) = embed(json!({ "input": "sea ".repeat(2 * CONTEXT_LENGTH as usize) })).await;
    assert_eq!(status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_the_messages_alone_do_not_make_is_recorded_and_replayed() {
    let dir = TempDir::new().unwrap();
    let mut recorded = policy(Action::Alert, Some(1e6));
    recorded.record_conversations = true;
    let mut rig = Rig::start(Folder::new(vec![recorded]).await, logging_variant(&dir, None)).await;
    rig.until_ready().await;
    rig.complete(&chat("Tell me about the sea.")).await;
    let cut = json!({ "truncate_prompt_tokens": 9 });
    let answer = rig.complete(&with(chat("Tell me about the sea."), cut)).await;
    assert_eq!(answer["usage"]["prompt_tokens"], 9);
    rig.sidecar.take().unwrap().stop().await;
    let (audit, conversations) = files(&dir);
    let said = entries(&conversations, "conversation");
    let tokens = |entry: &Value| entry["prompt"].as_array().map_or(0, Vec::len);
    assert_eq!(said.iter().map(tokens).collect::<Vec<_>>(), [0, 9]);
    let (printed, result) = replay(&rig, &conversations, &audit).await;
    assert!(result.is_ok() && printed.contains("2 scores"), "{printed}{result:?}");
}
