use super::*;
use serde_json::json;

fn count(api: Api, asked: AskedCounts) -> TokenCount {
    let request =
        CountedRequest { api, asked, is_stream: true, is_observed: false, keeps_stop: false };
    TokenCount::new(request)
}

fn chunk(text: &str, tokens: u64, finish: &Value) -> Value {
    json!({
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": finish }],
        "usage": { "prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens },
    })
}

/// Tells the payloads, with text that ends at these bytes.
fn tell(count: &mut TokenCount, payloads: &[(Value, usize)]) {
    for (payload, to) in payloads {
        count.read(Part::Event, &mut payload.clone());
        count.mark(*to);
    }
}

#[test]
fn text_leaves_with_the_last_of_its_tokens() {
    let mut count = count(Api::Chat, AskedCounts::default());
    let none = Value::Null;
    assert_eq!(count.due(9), 0, "what is measured before any text comes waits for it");
    tell(
        &mut count,
        &[
            (chunk("", 0, &none), 0),
            (chunk("ab", 1, &none), 2),
            // Three at once, of which a parser has kept one for itself.
            (chunk("cd", 4, &none), 4),
            (chunk("", 5, &json!("stop")), 4),
        ],
    );
    assert_eq!([0, 1, 3, 4].map(|token| count.reach(token)), [2, 4, 4, 4].map(Some));
    assert_eq!(count.next_mark(0), Some(Mark { to: 0, tokens: 0 }));
    assert_eq!(count.next_mark(0), None);
    assert_eq!(count.next_mark(3), Some(Mark { to: 2, tokens: 1 }));
    assert_eq!(count.next_mark(3), None);
    assert_eq!(count.next_mark(4), Some(Mark { to: 4, tokens: 4 }));
    assert_eq!((count.due(9), count.needed()), (5, None), "more may come");
    count.complete();
    // The fifth only ends the response: it has no text, and the engine does not read it.
    assert_eq!((count.due(9), count.needed()), (4, Some(4)));
    assert_eq!(count.next_mark(4), Some(Mark { to: 4, tokens: 4 }));
}

#[test]
fn the_last_token_counts_unless_it_only_ends_the_response() {
    let ended = |finish: &str, stop: Value, keeps_stop| {
        let request = CountedRequest {
            api: Api::Chat,
            asked: AskedCounts::default(),
            is_stream: true,
            is_observed: false,
            keeps_stop,
        };
        let mut count = TokenCount::new(request);
        let mut last = chunk("ab", 3, &json!(finish));
        last["choices"][0]["stop_reason"] = stop;
        tell(&mut count, &[(last, 2)]);
        count.complete();
        count.needed().unwrap()
    };
    let null = || Value::Null;
    assert_eq!(ended("stop", null(), false), 2);
    assert_eq!(ended("stop", json!(128_009), false), 2, "a token that ends responses");
    assert_eq!(ended("tool_calls", null(), false), 2);
    assert_eq!(ended("stop", json!("."), false), 3, "a stop string, within the last token");
    assert_eq!(ended("stop", null(), true), 3, "what ends it is part of the text");
    for other in ["length", "abort", "error", "repetition"] {
        assert_eq!(ended(other, null(), false), 3, "{other}");
    }
}

#[test]
fn the_plugin_is_late_only_where_the_engine_has_gone_on() {
    let mut count = count(Api::Chat, AskedCounts::default());
    assert!(!count.is_ahead(None), "it reads the prompt");
    tell(&mut count, &[(chunk("a", 1, &Value::Null), 1)]);
    assert!(count.is_ahead(None), "the prompt is measured before anything is written");
    assert!(!count.is_ahead(Some(0)), "the first token is measured with the second");
    tell(&mut count, &[(chunk("b", 2, &Value::Null), 2)]);
    assert!(count.is_ahead(Some(0)) && !count.is_ahead(Some(1)));
    count.complete();
    assert!(count.is_ahead(Some(2)));
}

#[test]
fn text_without_a_count_waits_for_one() {
    let mut count = count(Api::Chat, AskedCounts::default());
    let mut bare = chunk("cd", 0, &Value::Null);
    bare.as_object_mut().unwrap().remove("usage");
    let fallen = chunk("ef", 0, &Value::Null);
    tell(&mut count, &[(chunk("ab", 1, &Value::Null), 2), (bare, 4), (fallen, 6)]);
    assert_eq!(count.next_mark(9), Some(Mark { to: 2, tokens: 1 }));
    assert_eq!((count.next_mark(9), count.marked()), (None, 2));
    tell(&mut count, &[(chunk("", 4, &Value::Null), 6)]);
    assert_eq!(count.next_mark(9), Some(Mark { to: 6, tokens: 4 }));
}

#[test]
fn other_apis_count_at_their_end() {
    let mut messages = count(Api::Messages, AskedCounts::default());
    let start = json!({ "type": "message_start", "message": { "usage": { "output_tokens": 0 } } });
    let text =
        json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": "ab" } });
    tell(&mut messages, &[(start, 0), (text, 2)]);
    assert_eq!((messages.next_mark(99), messages.due(3)), (None, 2), "the last may be the end");
    let end = json!({
        "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
        "usage": { "input_tokens": 5, "output_tokens": 3 },
    });
    tell(&mut messages, &[(end, 2)]);
    messages.complete();
    assert_eq!(messages.needed(), Some(2));
    assert_eq!(messages.next_mark(2), Some(Mark { to: 2, tokens: 2 }));
    for (status, needed) in [("completed", 2), ("incomplete", 3)] {
        let mut responses = count(Api::Responses, AskedCounts::default());
        let created = json!({
            "type": "response.created", "response": { "status": "in_progress", "usage": null },
        });
        let end = json!({
            "type": format!("response.{status}"),
            "response": { "status": status, "usage": { "input_tokens": 5, "output_tokens": 3 } },
        });
        tell(&mut responses, &[(created, 0), (end, 2)]);
        responses.complete();
        assert_eq!(responses.needed(), Some(needed), "{status}");
    }
}

#[test]
fn what_the_client_did_not_ask_for_stays() {
    let read = |asked: AskedCounts, mut payload: Value| {
        count(Api::Chat, asked).read(Part::Event, &mut payload);
        payload
    };
    let (last, each) =
        (AskedCounts { last: true, each: false }, AskedCounts { last: true, each: true });
    let has_usage = |payload: &Value| payload.get("usage").is_some();
    let end = json!({ "choices": [], "usage": { "completion_tokens": 3 } });
    for (asked, in_chunk, in_end) in
        [(AskedCounts::default(), false, false), (last, false, true), (each, true, true)]
    {
        assert_eq!(has_usage(&read(asked, chunk("a", 1, &Value::Null))), in_chunk, "{asked:?}");
        assert_eq!(has_usage(&read(asked, end.clone())), in_end, "{asked:?}");
    }
    let mut bare = chunk("", 1, &Value::Null);
    bare["choices"][0]["delta"] = json!({});
    assert_eq!(read(each, bare)["choices"], json!([]), "it came for its tokens alone");
}

#[test]
fn tokens_are_known_where_all_of_them_are_told() {
    let mut count = count(Api::Chat, AskedCounts::default());
    let mut first = chunk("a", 1, &Value::Null);
    first["prompt_token_ids"] = json!([1, 2, 3, 4, 5]);
    first["choices"][0]["token_ids"] = json!([7]);
    let mut second = chunk("b", 2, &json!("length"));
    second["choices"][0]["token_ids"] = json!([8]);
    tell(&mut count, &[(first.clone(), 1)]);
    assert_eq!(count.all_tokens(), Some((&[1, 2, 3, 4, 5][..], &[7][..])));
    tell(&mut count, &[(second, 2), (chunk("c", 3, &Value::Null), 3)]);
    assert_eq!(count.all_tokens(), None, "one is missing");
}
