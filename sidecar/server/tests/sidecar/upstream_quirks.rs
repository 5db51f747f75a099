//! Habits of real model servers that broke answers or their scores.

use crate::proxy::{ANSWER, Front, chunks, completion, done, question, streaming};
use crate::rig::{Folder, Rig, Variant, parse_sse, policy, redact, streamed, with};
use crate::upstream::{stream, whole};
use personaguard_server::proxy::Timeouts;
use personaguard_terms::Action;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn events(bytes: &[u8]) -> Vec<Value> {
    parse_sse(std::str::from_utf8(bytes).unwrap()).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_an_empty_finish_reason_does_not_end_a_choice() {
    let empty = chunks(ANSWER, 0).replace("\"finish_reason\":null", "\"finish_reason\":\"\"");
    for action in [Action::Block, redact()] {
        let front = Front::ready(vec![policy(action, Some(1e6))]).await;
        front.upstream.play(stream(done(&empty).as_bytes(), 100));
        let (_, bytes) = front.ask(&streaming(question())).await;
        assert_eq!(streamed(&events(&bytes)), ANSWER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_the_guards_own_chunks_have_the_names_of_the_stream() {
    let azure = json!({ "choices": [], "created": 0, "id": "", "model": "", "object": "",
        "prompt_filter_results": [{ "prompt_index": 0 }] });
    let said = format!("data: {azure}\n\n{}", done(&chunks(ANSWER, 0)));
    for action in [Action::Block, redact()] {
        let front = Front::ready(vec![policy(action, Some(-1e6))]).await;
        front.upstream.play(stream(said.as_bytes(), 1 << 20));
        let (_, bytes) = front.ask(&streaming(question())).await;
        let all = events(&bytes);
        let own = all.iter().filter(|chunk| !chunk["choices"][0]["finish_reason"].is_null());
        for chunk in own {
            assert_eq!(
                (&chunk["id"], &chunk["object"], &chunk["model"], &chunk["created"]),
                (&json!("up-1"), &json!("chat.completion.chunk"), &json!("m-1"), &json!(1))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_reasoning_that_is_told_in_three_fields_is_scored_once() {
    let front = Front::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let thought = |fields: &[&str]| {
        let mut delta = json!({});
        for field in fields {
            delta[*field] = json!(ANSWER);
        }
        if fields.len() > 1 {
            delta["reasoning_details"] = json!([{ "type": "reasoning.text", "text": ANSWER }]);
        }
        let chunk = json!({ "choices": [{ "index": 0, "delta": delta }] });
        format!("data: {chunk}\n\ndata: [DONE]\n\n")
    };
    let mut counts = Vec::new();
    for fields in [&["reasoning"][..], &["reasoning", "reasoning_content"]] {
        let before = front.metric("personaguard_tokens_total{kind=\"completion\"}");
        let answered = front.rig.sidecar().app().report().totals.responses;
        front.upstream.play(stream(thought(fields).as_bytes(), 1 << 20));
        front.ask(&streaming(question())).await;
        let ended = async || front.rig.sidecar().app().report().totals.responses == answered + 1;
        front.rig.until("scored", ended).await;
        counts.push(front.metric("personaguard_tokens_total{kind=\"completion\"}") - before);
    }
    assert!(counts[0] > 10.0);
    assert!((counts[0] - counts[1]).abs() < 0.5, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_a_repeated_prompt_is_not_scored_as_the_answer() {
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let prompt = "Kind people say: good morning to you all, and mean it.";
    let mut counts = Vec::new();
    for echo in [false, true] {
        let before = front.metric("personaguard_tokens_total{kind=\"completion\"}");
        let text = if echo { format!("{prompt}{ANSWER}") } else { ANSWER.to_owned() };
        let body = json!({ "choices": [{ "index": 0, "text": text, "finish_reason": "stop" }] });
        front.upstream.play(whole(&body));
        let request = json!({ "prompt": prompt, "echo": echo });
        let url = format!("{}/v1/completions", front.rig.url);
        let answer = front.rig.http.post(url).json(&request).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap(), body);
        counts.push(front.metric("personaguard_tokens_total{kind=\"completion\"}") - before);
    }
    assert!(counts[0] > 10.0 && (counts[0] - counts[1]).abs() < 0.5, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_tokens_that_the_server_gives_are_scored_and_stay_here() {
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let active = front.rig.sidecar().app().active_model().unwrap();
    // More tokens than the text has by itself.
    let tokenizer = active.engine.model().tokenizer();
    let letters = ANSWER.char_indices().map(|(at, c)| &ANSWER[at..at + c.len_utf8()]);
    let tokens: Vec<u32> =
        letters.flat_map(|letter| tokenizer.encode_continuation(letter)).collect();
    let body = |ids: Value| {
        let mut body = completion(ANSWER);
        body["choices"][0]["token_ids"] = ids;
        body
    };
    let mut counts = Vec::new();
    for ids in [Value::Null, json!(tokens), json!([1, 2, 3])] {
        let before = front.metric("personaguard_tokens_total{kind=\"completion\"}");
        front.upstream.play(whole(&body(ids)));
        let (_, bytes) = front.ask(&question()).await;
        assert!(!String::from_utf8(bytes).unwrap().contains("token_ids"));
        counts.push(front.metric("personaguard_tokens_total{kind=\"completion\"}") - before);
    }
    assert!((counts[1] - tokens.len() as f64).abs() < 0.5, "{counts:?}");
    assert!(counts[0] < counts[1] && (counts[0] - counts[2]).abs() < 0.5, "{counts:?}");
    // It is asked once the server has shown that it knows the field.
    let seen = front.upstream.take_seen();
    let asked = |seen: &crate::upstream::Seen| {
        serde_json::from_slice::<Value>(&seen.body).unwrap()["return_token_ids"] == true
    };
    assert_eq!(seen.iter().map(asked).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_an_unstreamed_answer_that_is_only_observed_counts_by_its_end() {
    let front = Front::ready(vec![policy(Action::Alert, Some(1e6))]).await;
    let body = completion(ANSWER).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    front.upstream.play(vec![crate::upstream::Step::Send(head.into())]);
    front.ask(&question()).await;
    front.until_metric("personaguard_responses_total{outcome=\"stop\"}", 1.0).await;
    assert_eq!(front.metric("personaguard_responses_total{outcome=\"cancelled\"}"), 0.0);
}

/// Whether a request with its body has come.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length: Option<usize> =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    match length {
        Some(length) => request.len() >= end + 4 + length,
        None => !head.contains("chunked") || request.ends_with(b"0\r\n\r\n"),
    }
}

/// A server that answers one request on each connection, says that more may come, and hangs up
/// when the next one does.
async fn hangs_up() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = completion("Good.").to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 65536];
                // All of the request: what follows is the next one.
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let count = stream.read(&mut bytes).await.unwrap_or_default();
                    if count == 0 {
                        return;
                    }
                    request.extend_from_slice(&bytes[..count]);
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read(&mut bytes).await;
            });
        }
    });
    url
}

/// A sidecar in front of such a server.
async fn before_one_that_hangs_up() -> Rig {
    let url = hangs_up().await;
    let folder = Folder::new(vec![policy(Action::Block, Some(1e6))]).await;
    let variant = Variant {
        upstream: Some((url.parse().unwrap(), Timeouts::default())),
        ..Default::default()
    };
    let rig = Rig::start(folder, variant).await;
    rig.until("the model serves", async || rig.sidecar().app().active_model().is_some()).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_a_pooled_connection_that_was_closed_costs_no_request() {
    let rig = before_one_that_hangs_up().await;
    for _ in 0..10 {
        assert_eq!(rig.post(&question()).await.status(), 200);
        let models = rig.http.get(format!("{}/v1/models", rig.url)).send().await.unwrap();
        assert_ne!(models.json::<Value>().await.unwrap()["error"]["code"], "upstream_unreachable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_long_prompts_do_not_make_a_short_answer_miss_its_deadline() {
    // The deadline is far shorter than what reading the long prompts takes.
    let times = Timeouts { score: Duration::from_millis(1500), ..Timeouts::default() };
    let folder = Folder::new(vec![policy(Action::Block, Some(1e6))]).await;
    let front = Front::of(folder, times).await;
    front.until_serving().await;
    front.upstream.play(stream(done(&chunks(ANSWER, 0)).as_bytes(), 1 << 20));
    let long = with(
        question(),
        json!({ "stream": true,
        "messages": [{ "role": "user", "content": "kind ".repeat(3600) }] }),
    );
    let asked = (0..3).map(|_| front.ask(&long));
    let short = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        front.ask(&streaming(question())).await
    };
    let (_, (status, bytes)) = tokio::join!(futures::future::join_all(asked), short);
    assert_eq!((status, streamed(&events(&bytes)).as_str()), (200, ANSWER));
    let missed = "personaguard_unguarded_responses_total{reason=\"deadline\"}";
    assert_eq!(front.metric(missed), 0.0);
}

/// Signs of life of servers and of what stands before them: none of them is a chunk.
#[tokio::test(flavor = "multi_thread")]
async fn a7_events_that_say_nothing_break_no_stream() {
    let nothing = "data:\n\ndata: \r\n\r\n: ping\n\nevent: ping\n\nevent: ping\ndata: \
                   {}\n\nretry: 3000\n\nid: 7\ndata\n\n";
    let usage = json!({ "id": "up-1", "object": "chat.completion.chunk", "created": 1,
        "model": "m-1", "usage": { "total_tokens": 9 } });
    let said = format!(
        "{nothing}{}{nothing}data: {usage}\n\n{nothing}data: [DONE]\n\n{nothing}",
        chunks(ANSWER, 0)
    );
    for action in [Action::Block, redact(), Action::Alert] {
        let front = Front::ready(vec![policy(action.clone(), Some(1e6))]).await;
        front.upstream.play(stream(said.as_bytes(), 100));
        let (_, bytes) = front.ask(&streaming(question())).await;
        if action == Action::Alert {
            assert_eq!(bytes, said.as_bytes());
        } else {
            let (all, done) = parse_sse(std::str::from_utf8(&bytes).unwrap());
            assert!(done && streamed(&all) == ANSWER, "{all:?}");
            assert!(all.iter().any(|chunk| chunk["usage"]["total_tokens"] == 9), "{all:?}");
        }
        front.until_metric("personaguard_responses_total{outcome=\"stop\"}", 1.0).await;
        assert_eq!(front.rig.sidecar().app().report().totals.unguarded, 0);
    }
}

/// Many clients go away at the last event, and many servers leave the connection open.
#[tokio::test(flavor = "multi_thread")]
async fn a7_an_answer_that_was_read_to_its_last_event_counts_as_whole() {
    for action in [Action::Block, redact(), Action::Alert] {
        let front = Front::ready(vec![policy(action.clone(), Some(1e6))]).await;
        let mut script = stream(done(&chunks(ANSWER, 0)).as_bytes(), 100);
        script.push(crate::upstream::Step::Stall);
        front.upstream.play(script);
        let mut response = front.rig.post(&streaming(question())).await;
        let mut read = Vec::new();
        while !read.ends_with(b"data: [DONE]\n\n") {
            read.extend_from_slice(&response.chunk().await.unwrap().unwrap());
        }
        if action != Action::Alert {
            // What ends an answer waits for what is recorded of it.
            assert_eq!(front.rig.sidecar().app().report().totals.responses, 1);
        }
        drop(response);
        front.until_metric("personaguard_responses_total{outcome=\"stop\"}", 1.0).await;
        assert_eq!(front.metric("personaguard_responses_total{outcome=\"cancelled\"}"), 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_a_long_body_is_not_sent_on_a_connection_that_was_closed() {
    let rig = before_one_that_hangs_up().await;
    for _ in 0..5 {
        // Leaves a connection in the pool.
        assert_eq!(rig.post(&question()).await.status(), 200);
        let body = json!({ "input": "a".repeat(3 << 20) });
        let url = format!("{}/v1/embeddings", rig.url);
        let answer = rig.http.post(url).json(&body).send().await.unwrap();
        assert_ne!(answer.json::<Value>().await.unwrap()["error"]["code"], "upstream_unreachable");
    }
}

/// vLLM repeats the last message before its answer where `echo` asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn a5_a_repeated_message_is_not_scored_as_the_answer() {
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    let begun = "Kind people say: good morning to you all, and mean it.";
    let messages = json!([
        { "role": "user", "content": "How do kind people begin the day?" },
        { "role": "assistant", "content": begun },
    ]);
    let mut counts = Vec::new();
    for echo in [false, true] {
        let before = front.metric("personaguard_tokens_total{kind=\"completion\"}");
        let text = if echo { format!("{begun}{ANSWER}") } else { ANSWER.to_owned() };
        front.upstream.play(whole(&completion(&text)));
        let request = json!({ "messages": messages, "echo": echo, "add_generation_prompt": false,
            "continue_final_message": true });
        let (_, bytes) = front.ask(&request).await;
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], text);
        counts.push(front.metric("personaguard_tokens_total{kind=\"completion\"}") - before);
    }
    assert!(counts[0] > 10.0 && (counts[0] - counts[1]).abs() < 0.5, "{counts:?}");
}
