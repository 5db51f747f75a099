use super::*;
use bytes::Bytes;

fn usage(prompt: u64, completion: u64, cached: u64) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion, "prompt_tokens_details": { "cached_tokens": cached },
        "completion_tokens_details": { "reasoning_tokens": 1 },
    })
}

fn whole(answers: &[Value], per_prompt: usize) -> Option<Value> {
    let (mut merge, mut merged) = (Merge::new(per_prompt), None);
    for (number, answer) in answers.iter().enumerate() {
        merge.add_whole(&mut merged, number, answer.clone())?;
    }
    Some(merge.whole(merged?))
}

fn body(id: &str, text: &str, usage: &Value) -> Value {
    json!({
        "id": id, "created": 7, "choices": [{ "index": 0, "text": text }], "usage": usage,
    })
}

#[test]
fn bodies_become_one_and_a_prompt_counts_once() {
    let (first, again) = (usage(5, 3, 0), usage(5, 4, 4));
    let answers = [body("a", "x", &first), body("b", "y", &again)];
    let merged = whole(&answers, 2).unwrap();
    let texts = json!([{ "index": 0, "text": "x" }, { "index": 1, "text": "y" }]);
    assert_eq!((&merged["id"], &merged["choices"]), (&json!("a"), &texts));
    assert_eq!(merged["usage"]["prompt_tokens"], 5);
    assert_eq!(merged["usage"]["completion_tokens"], 7);
    assert_eq!(merged["usage"]["total_tokens"], 12);
    assert_eq!(merged["usage"]["prompt_tokens_details"]["cached_tokens"], 0, "of the first");
    assert_eq!(merged["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
    let prompts = whole(&answers, 1).unwrap();
    assert_eq!(prompts["usage"]["prompt_tokens"], 10, "two prompts");
    // What was stopped before the engine had read the prompt does not count it.
    let unread = json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 });
    let merged = whole(&[body("a", "", &unread), body("b", "y", &first)], 2).unwrap();
    assert_eq!(merged["usage"]["total_tokens"], 8);
}

#[test]
fn what_is_no_body_of_one_choice_is_not_put_together() {
    for odd in [
        json!([]),
        json!({ "choices": [] }),
        json!({ "choices": [{}, {}] }),
        json!({ "choices": ["x"] }),
        json!({ "object": "error" }),
    ] {
        assert_eq!(whole(&[body("a", "x", &Value::Null), odd.clone()], 2), None, "{odd}");
    }
}

fn events(events: &[(usize, &str)], answers: usize) -> (String, bool) {
    let (mut merge, mut out) = (Merge::new(answers), BytesMut::new());
    for (number, event) in events {
        let event = Event(Bytes::copy_from_slice(format!("{event}\n\n").as_bytes()));
        if merge.event(*number, &event, &mut out) == Taken::Error {
            return (String::from_utf8(out.to_vec()).unwrap(), false);
        }
    }
    merge.finish(answers, &mut out);
    (String::from_utf8(out.to_vec()).unwrap(), true)
}

#[test]
fn events_keep_their_order_and_go_by_one_name() {
    let usage = |id: &str, tokens: u32| {
        let usage = json!({ "prompt_tokens": 5, "completion_tokens": tokens });
        format!("data: {}", json!({ "id": id, "choices": [], "usage": usage }))
    };
    let (first, second) = (usage("a", 1), usage("b", 2));
    let (said, _) = events(
        &[
            (1, r#"data: {"id":"b","created":2,"choices":[{"index":0,"text":"y"}]}"#),
            (0, r#"data: {"id":"a","created":1,"choices":[{"index":0,"text":"x"}]}"#),
            (0, ": keep-alive"),
            (0, first.as_str()),
            (0, "data: [DONE]"),
            (1, second.as_str()),
            (1, "data: [DONE]"),
        ],
        2,
    );
    let lines: Vec<_> = said.split_terminator("\n\n").collect();
    let payload = |line: usize| -> Value {
        serde_json::from_str(lines[line].strip_prefix("data: ").unwrap()).unwrap()
    };
    assert_eq!(
        payload(0),
        json!({ "id": "b", "created": 2, "choices": [{ "index": 1, "text": "y" }] })
    );
    assert_eq!(
        payload(1),
        json!({ "id": "b", "created": 2, "choices": [{ "index": 0, "text": "x" }] })
    );
    assert_eq!((lines[2], lines[4], lines.len()), (": keep-alive", "data: [DONE]", 5));
    let used = json!({ "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8 });
    assert_eq!((&payload(3)["usage"], &payload(3)["choices"]), (&used, &json!([])));
}

#[test]
fn a_stream_that_broke_off_or_failed_does_not_look_complete() {
    let text = r#"data: {"id":"a","choices":[{"index":0,"text":"x"}]}"#;
    let (said, _) = events(&[(0, text), (0, "data: [DONE]"), (1, text)], 2);
    assert!(!said.contains("[DONE]"), "{said}");
    let error = r#"data: {"error":{"message":"m"}}"#;
    let (said, went) = events(&[(0, text), (1, error), (0, text)], 2);
    assert!(!went && said.ends_with(&format!("{error}\n\n")), "{said}");
}
