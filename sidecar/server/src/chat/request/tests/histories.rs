//! Conversations as client libraries keep them and send them back.

use super::*;

/// The messages as a chat template gets them.
fn read(messages: Value) -> Vec<Value> {
    asking(json!({ "messages": messages })).unwrap_or_else(|e| panic!("{messages}: {e:?}")).messages
}

fn call(id: &str, arguments: Value) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": arguments } })
}

#[test]
fn what_a_library_dumps_beside_the_words_changes_nothing() {
    let plain = read(json!([{ "role": "assistant", "content": "Hello." }]));
    let dumped = json!({
        "role": "assistant", "content": "Hello.", "refusal": null, "annotations": [],
        "audio": null, "function_call": null, "tool_calls": null, "name": "ann",
        "cache_control": { "type": "ephemeral" }, "provider_specific_fields": { "a": 1 },
        "id": "msg_1", "reasoning_details": [], "reasoning_content": null, "reasoning": "",
        "tool_call_id": null, "logprobs": null,
    });
    assert_eq!(read(json!([dumped])), plain);
    let mut empty = dumped.clone();
    empty["tool_calls"] = json!([]);
    assert_eq!(read(json!([empty])), plain);
    let user = json!({ "role": "user", "content": "x", "tool_calls": [], "id": 1, "secret": {} });
    assert_eq!(read(json!([user])), [json!({ "role": "user", "content": "x" })]);
}

#[test]
fn an_answer_may_have_neither_words_nor_calls() {
    let silent = [json!({ "role": "assistant", "content": "" })];
    for message in [
        json!({ "role": "assistant" }),
        json!({ "role": "assistant", "content": null }),
        json!({ "role": "assistant", "content": [] }),
        json!({ "role": "assistant", "tool_calls": [] }),
        json!({ "role": "assistant", "content": null, "tool_calls": null }),
    ] {
        assert_eq!(read(json!([message])), silent, "{message}");
    }
    let refusal = json!({ "role": "assistant", "content": null, "refusal": "No." });
    assert_eq!(read(json!([refusal]))[0]["content"], "No.");
    let user = json!({ "role": "user", "content": null });
    assert_eq!(read(json!([user])), [json!({ "role": "user", "content": "" })]);
}

#[test]
fn arguments_of_earlier_calls_are_taken_as_they_are() {
    for (given, read_as) in [
        (json!("{\"a\": 1}"), json!({ "a": 1 })),
        (json!({ "a": 1 }), json!({ "a": 1 })),
        (json!(""), json!({})),
        (json!(" \n"), json!({})),
        (json!(null), json!({})),
        (json!("{\"pier\": \"nor"), json!("{\"pier\": \"nor")),
        (json!("null"), json!("null")),
        (json!("[1]"), json!("[1]")),
    ] {
        let message =
            json!({ "role": "assistant", "content": null, "tool_calls": [call("a", given)] });
        let messages = read(json!([message]));
        assert_eq!(messages[0]["tool_calls"], json!([call("a", read_as)]));
        assert_eq!(messages[0]["content"], "");
    }
    let without = json!({ "role": "assistant", "tool_calls": [{ "function": { "name": "a.b" } }] });
    let function = json!({ "name": "a.b", "arguments": {} });
    let called = json!([{ "id": "call_1", "type": "function", "function": function }]);
    assert_eq!(read(json!([without]))[0]["tool_calls"], called);
}

#[test]
fn results_find_their_calls_as_far_as_there_are_any() {
    let asked = json!({ "role": "assistant", "tool_calls": [call("a", json!("{}"))] });
    let result = |fields: Value| {
        let mut result = json!({ "role": "tool" });
        for (field, value) in fields.as_object().unwrap() {
            result[field] = value.clone();
        }
        read(json!([asked, result]))[1].clone()
    };
    let told = |content: &str, id: &str, name: &str| {
        let role = "tool";
        json!({ "role": role, "content": content, "tool_call_id": id, "name": name })
    };
    assert_eq!(result(json!({ "tool_call_id": "a", "content": "x" })), told("x", "a", "f"));
    assert_eq!(result(json!({ "tool_call_id": "a" })), told("", "a", "f"));
    assert_eq!(result(json!({ "content": null })), told("", "a", "f"));
    assert_eq!(result(json!({ "content": [], "name": "f" })), told("", "a", "f"));
    let parts = json!([{ "type": "text", "text": "x", "annotations": null }, "y"]);
    assert_eq!(result(json!({ "tool_call_id": "a", "content": parts })), told("x\ny", "a", "f"));
    // The call was cut off with the start of the conversation.
    assert_eq!(result(json!({ "tool_call_id": "b", "name": "g" })), told("", "b", "g"));
    assert_eq!(result(json!({ "tool_call_id": "b" })), told("", "b", ""));
}

#[test]
fn the_older_form_of_calls_is_the_newer() {
    let messages = read(json!([
        { "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": "" } },
        { "role": "function", "name": "f", "content": "x" },
    ]));
    assert_eq!(messages[0]["tool_calls"], json!([call("call_1", json!({}))]));
    let result = json!({ "role": "tool", "content": "x", "tool_call_id": "call_1", "name": "f" });
    assert_eq!(messages[1], result);
}

#[test]
fn what_was_thought_is_handed_to_the_template() {
    for name in ["reasoning_content", "reasoning"] {
        let messages = read(json!([{ "role": "assistant", "content": "x", name: "hm" }]));
        let both = (&messages[0]["reasoning_content"], &messages[0]["reasoning"]);
        assert_eq!(both, (&json!("hm"), &json!("hm")));
    }
    let parts = json!([
        { "type": "thinking", "thinking": "hm", "signature": "s" },
        { "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } },
    ]);
    let messages = read(json!([{ "role": "assistant", "content": parts }]));
    assert_eq!(messages, [json!({ "role": "assistant", "content": "x" })]);
}

#[test]
fn parts_are_text_by_any_name_and_developers_are_the_system() {
    let parts = json!([
        { "type": "text", "text": "a", "cache_control": {} }, { "text": "b" }, "c",
        { "type": "input_text", "text": "d" },
    ]);
    let messages = read(json!([
        { "role": "user", "content": "x" }, { "role": "developer", "content": parts },
    ]));
    assert_eq!(messages[1], json!({ "role": "system", "content": "a\nb\nc\nd" }));
}

#[test]
fn what_makes_no_sense_is_still_refused_by_its_place() {
    for (messages, place) in [
        (json!([]), "messages"),
        (json!([{ "role": "user" }]), "messages[0].content"),
        (json!([{ "role": "king", "content": "x" }]), "messages[0].role"),
        (
            json!([{ "role": "user", "content": [{ "type": "image_url" }] }]),
            "messages[0].content[0]",
        ),
        (
            json!([{ "role": "assistant", "tool_calls": [{ "id": "a" }] }]),
            "messages[0].tool_calls[0].function",
        ),
    ] {
        assert_eq!(refused(json!({ "messages": messages })).0, place);
    }
}
