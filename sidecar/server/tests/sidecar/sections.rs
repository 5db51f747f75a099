//! Reasoning and answer: which of them a policy counts, in both placements, and what is told of
//! each.

use crate::audit::{entries, files, logging_variant, replay};
use crate::enforcement::scored;
use crate::proxy::{ANSWER, Front, done, question, streaming};
use crate::rig::{
    Folder, MODEL, Rig, chat, finish_reason, parse_sse, policy, streamed, text, with,
};
use crate::upstream::{stream, whole};
use personaguard_terms::{Action, Score};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Blocks whatever counts for this score.
fn blocking(score: Score) -> ResolvedPolicy {
    let mut policy = policy(Action::Block, Some(-1e6));
    policy.traits[0].score = score;
    policy
}

/// A question whose prompt ends within reasoning, which the model does not end.
fn thinking() -> Value {
    let asked = chat("Tell me about the sea.")["messages"][0].clone();
    let messages = json!([asked, { "role": "assistant", "content": "<think>" }]);
    with(chat(""), json!({ "messages": messages, "continue_final_message": true }))
}

async fn completed(rig: &Rig, prompt: &str) -> Value {
    let body = json!({ "model": MODEL, "prompt": prompt, "max_tokens": 12, "seed": 7 });
    let url = format!("{}/v1/completions", rig.url);
    let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_what_counts_is_what_the_policy_says_whatever_the_client_is_shown() {
    for (score, of_reasoning, of_answer) in [
        (Score::ResponseAvg, "content_filter", "content_filter"),
        (Score::AnswerAvg, "length", "content_filter"),
        (Score::ReasoningAvg, "content_filter", "length"),
    ] {
        let rig = Rig::ready(vec![blocking(score)]).await;
        for shown in [
            json!({}),
            json!({ "reasoning_format": "none" }),
            json!({ "include_reasoning": false }),
            // A stop string that holds text back does not change what a token is.
            json!({ "stop": ["</think>, and nothing else"] }),
        ] {
            let whole = rig.complete(&with(thinking(), shown.clone())).await;
            let choice = &whole["choices"][0];
            assert_eq!(choice["finish_reason"], of_reasoning, "{score:?} {shown}");
            let thought = choice["message"]["reasoning_content"].as_str().unwrap_or_default();
            assert!(of_reasoning == "length" || thought.is_empty() && text(&whole).is_empty());
            let answer = rig.complete(&with(chat("Hello."), shown)).await;
            assert_eq!(answer["choices"][0]["finish_reason"], of_answer, "{score:?}");
        }
        let (chunks, _) = rig.stream(&thinking()).await;
        assert_eq!(finish_reason(&chunks), of_reasoning);
        // Text that is no chat counts for every score.
        for prompt in ["The sea is", "The sea is <think>"] {
            let text = completed(&rig, prompt).await;
            assert_eq!(text["choices"][0]["finish_reason"], "content_filter", "{score:?}");
            assert_eq!(text["choices"][0]["text"], "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_and_answer_are_told_apart_in_usage_scores_metrics_and_logs() {
    let mut recorded = policy(Action::Alert, Some(1e6));
    recorded.record_conversations = true;
    let dir = TempDir::new().unwrap();
    let mut rig = Rig::start(Folder::new(vec![recorded]).await, logging_variant(&dir, None)).await;
    rig.until_ready().await;
    let thought = rig.complete(&scored(thinking())).await;
    let said = rig.complete(&scored(chat("Hello."))).await;
    let details = |body: &Value| body["usage"]["completion_tokens_details"].clone();
    assert_eq!(details(&thought)["reasoning_tokens"], thought["usage"]["completion_tokens"]);
    assert_eq!(details(&said), json!({ "reasoning_tokens": 0 }));
    let scores = |body: &Value| body["personaguard"]["scores"][0].clone();
    assert_eq!(scores(&thought)["reasoning_avg"], scores(&thought)["response_avg"]);
    assert_eq!(scores(&thought).get("answer_avg"), None);
    assert_eq!(scores(&said).get("reasoning_avg"), None);
    let metrics = rig.sidecar().app().encode_metrics();
    let series = "personaguard_trait_section_score_count{policy=\"no-villains\",trait=\"evil\",\
                  section=\"reasoning\"} 1";
    assert!(metrics.contains(series) && !metrics.contains("section=\"answer\""), "{metrics}");
    rig.sidecar.take().unwrap().stop().await;
    let (audit, conversations) = files(&dir);
    let entries = entries(&audit, "response");
    let tokens = &thought["usage"]["completion_tokens"];
    assert_eq!((&entries[0]["reasoning_tokens"], &entries[1]["reasoning_tokens"]), {
        (tokens, &Value::Null)
    });
    assert_eq!(entries[0]["scores"][0]["reasoning_avg"], scores(&thought)["reasoning_avg"]);
    assert_eq!(entries[1]["scores"][0].get("answer_avg"), None);
    let (printed, result) = replay(&rig, &conversations, &audit).await;
    assert!(result.is_ok() && printed.contains("  reasoning_avg "), "{printed}");
}

/// A stream of these fields, a few characters a chunk.
fn told(parts: &[(&str, &str)]) -> String {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        format!("data: {}\n\n", json!({ "id": "up-1", "choices": [choice] }))
    };
    let mut out = chunk(json!({ "role": "assistant", "content": "" }), Value::Null);
    for (field, text) in parts {
        let letters: Vec<char> = text.chars().collect();
        for piece in letters.chunks(5) {
            out += &chunk(json!({ (*field): piece.iter().collect::<String>() }), Value::Null);
        }
    }
    done(&(out + &chunk(json!({}), json!("stop"))))
}

/// What a client reads of the reasoning and of the content, and how it ended.
async fn read(front: &Front, parts: &[(&str, &str)]) -> (String, String, String) {
    front.upstream.play(stream(told(parts).as_bytes(), 1 << 20));
    let (_, bytes) = front.ask(&streaming(question())).await;
    let (chunks, _) = parse_sse(std::str::from_utf8(&bytes).unwrap());
    let thought = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_content"].as_str())
        .collect();
    (thought, streamed(&chunks), finish_reason(&chunks).to_owned())
}

const FIELD: &str = "reasoning_content";

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_of_another_servers_answer_what_counts_is_held_back_and_reasoning_passes() {
    let front = Front::ready(vec![blocking(Score::AnswerAvg)]).await;
    // Longer than one pass: of that in which the threshold is passed, nothing leaves.
    let long = ANSWER.repeat(8);
    let (thought, said, ended) = read(&front, &[(FIELD, &long), ("content", ANSWER)]).await;
    assert!(!thought.is_empty() && long.starts_with(&thought), "{thought}");
    assert_eq!((said.as_str(), ended.as_str()), ("", "content_filter"));
    let marked = format!("<think>{long}</think>{ANSWER}");
    let (_, said, ended) = read(&front, &[("content", &marked)]).await;
    let reasoning = marked.len() - ANSWER.len();
    assert!(!said.is_empty() && said.len() <= reasoning && marked.starts_with(&said), "{said}");
    assert_eq!(ended, "content_filter");
    // What comes after the answer has begun is the answer, whatever it is called.
    for parts in [
        [("content", "So. "), (FIELD, ANSWER)],
        [("content", "<think></think><think>"), ("content", ANSWER)],
        [(FIELD, "Hm.</think>"), (FIELD, ANSWER)],
    ] {
        let (thought, said, ended) = read(&front, &parts).await;
        assert_eq!(ended, "content_filter", "{parts:?}");
        assert!(thought.len() + said.len() <= parts[0].1.len(), "{thought}{said}");
    }
    // What `AnswerAvg` does not cover: all of it is called reasoning.
    for parts in [[(FIELD, ANSWER)], [("content", &format!("<think>{ANSWER}")[..])]] {
        let (thought, said, ended) = read(&front, &parts).await;
        assert_eq!((thought + &said, ended.as_str()), (parts[0].1.to_owned(), "stop"));
    }
    for score in [Score::ReasoningAvg, Score::ResponseAvg] {
        let front = Front::ready(vec![blocking(score)]).await;
        for parts in [
            &[(FIELD, ANSWER), ("content", ANSWER)][..],
            &[("content", &marked)],
            &[(FIELD, ANSWER)],
            &[("content", &format!("<think>{ANSWER}"))],
        ] {
            let read = read(&front, parts).await;
            let nothing = (String::new(), String::new(), "content_filter".to_owned());
            assert_eq!(read, nothing, "{score:?} {parts:?}");
        }
    }
    let front = Front::ready(vec![blocking(Score::ReasoningAvg)]).await;
    let read = read(&front, &[("content", ANSWER)]).await;
    assert_eq!((read.1.as_str(), read.2.as_str()), (ANSWER, "stop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_of_a_whole_answer_of_another_server_what_counts_does_not_leave() {
    let message = json!({ "role": "assistant", "content": ANSWER, FIELD: "Hm." });
    let body = json!({ "id": "up-1", "choices": [{ "index": 0, "message": message,
        "finish_reason": "stop" }] });
    for score in [Score::AnswerAvg, Score::ReasoningAvg] {
        let front = Front::ready(vec![blocking(score)]).await;
        front.upstream.play(whole(&body));
        let (status, bytes) = front.ask(&question()).await;
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            (status, &answer["choices"][0]["finish_reason"]),
            (200, &json!("content_filter"))
        );
        assert!(!answer.to_string().contains("kindness"), "{answer}");
    }
    // Both have a score of their own.
    let front = Front::ready(vec![policy(Action::Block, Some(1e6))]).await;
    front.upstream.play(whole(&body));
    front.ask(&question()).await;
    for section in ["reasoning", "answer"] {
        let series = format!(
            "personaguard_trait_section_score_count{{policy=\"no-villains\",trait=\"evil\",\
             section=\"{section}\"}}"
        );
        front.until_metric(&series, 1.0).await;
    }
}
