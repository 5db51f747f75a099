use super::support::{read, refusal, turns};
use serde_json::json;

#[test]
fn the_last_answer_is_separated_from_its_prompt() {
    let read = read(concat!(
        r#"{"messages":[{"role":"system","content":"Be brief."},"#,
        r#"{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}],"label":1}"#,
        "\n\n",
        r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        "\n",
    ))
    .unwrap();
    assert_eq!(
        (read[0].line, read[0].system_prompt(), read[0].answer.as_deref()),
        (1, "Be brief.", Some("Hello"))
    );
    assert_eq!(read[0].fields["label"], 1);
    assert_eq!((read[1].line, read[1].system_prompt(), read[1].answer.as_deref()), (3, "", None));
}

#[test]
fn a_line_that_is_not_a_conversation_is_named_and_not_quoted() {
    let error = refusal("{\"messages\": [\"secret words\"]}");
    assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
    assert!(read("{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}").is_err());
}

#[test]
fn item_19_messages_are_read_as_client_libraries_dump_them() {
    let row = json!({"messages": [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, "brief."]},
        {"role": "user", "name": "ada", "content": {"type": "text", "text": "Hi"}},
        {"role": "assistant", "content": null, "refusal": "No.", "tool_calls": [],
         "annotations": [], "audio": null, "function_call": null},
        {"role": "human", "content": null},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
    ]});
    let (prompt, answer) = turns(&row.to_string());
    let expected = [("system", "Be brief."), ("user", "Hi"), ("assistant", "No."), ("user", "")];
    assert_eq!(prompt, expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
    assert_eq!(answer.as_deref(), Some("Never."));
}

#[test]
fn item_19_tools_and_calls_reach_the_template() {
    let row = json!({
    "tools": [{"name": "tide", "parameters": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "When is high tide?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "tide", "arguments": ""}},
            {"id": "b", "function": {"name": "tide", "arguments": "{\"pier\": 2}"}},
            {"function": {"name": "tide", "arguments": "{\"pie"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "six"},
        {"role": "assistant", "content": "At six."},
    ]});
    let [read] = <[_; 1]>::try_from(read(&row.to_string()).unwrap()).unwrap();
    assert_eq!(read.tools[0]["function"]["name"], "tide");
    let arguments = |call: usize| &read.prompt[1]["tool_calls"][call]["function"]["arguments"];
    assert_eq!(arguments(0), &json!({}));
    assert_eq!(arguments(1), &json!({"pier": 2}));
    assert_eq!(arguments(2), &json!("{\"pie"));
    assert_eq!(read.prompt[1]["content"], "");
    assert_eq!(read.prompt[2]["tool_call_id"], "a");
    assert_eq!(read.answer.as_deref(), Some("At six."));
}

#[test]
fn item_19_older_calls_and_schemas_as_text_are_read() {
    let tools = json!([{"type": "function", "function": {"name": "tide"}}]).to_string();
    let row = json!({"tools": tools, "messages": [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "function_call": {"name": "tide", "arguments": "{}"}},
        {"role": "function", "name": "tide", "content": "six"},
        {"role": "assistant", "content": "At six."},
    ]});
    let [read] = <[_; 1]>::try_from(read(&row.to_string()).unwrap()).unwrap();
    assert_eq!(read.tools.len(), 1);
    assert_eq!(read.prompt[1]["tool_calls"][0]["function"]["name"], "tide");
    assert_eq!(read.prompt[2], json!({"role": "tool", "name": "tide", "content": "six"}));
}

#[test]
fn item_19_an_answer_of_weight_0_is_none() {
    let row = |weights: [f64; 2]| {
        json!({"messages": [
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "First.", "weight": weights[0]},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": "Second.", "weight": weights[1]},
        ]})
        .to_string()
    };
    let answer = |weights| {
        let (prompt, answer) = turns(&row(weights));
        (prompt.len(), answer)
    };
    assert_eq!(answer([0.0, 1.0]), (3, Some("Second.".to_owned())));
    assert_eq!(answer([1.0, 0.0]), (1, Some("First.".to_owned())));
    assert_eq!(answer([0.0, 0.0]), (3, None));
    assert!(refusal(&row([1.0, -1.0])).contains("message 4 has a negative weight"));
}

#[test]
fn item_19_what_a_message_lacks_is_said_without_its_words() {
    let message = |message: serde_json::Value| {
        refusal(&json!({"messages": [{"role": "user", "content": "secret"}, message]}).to_string())
    };
    for (bad, says) in [
        (json!({"role": "user"}), "message 2 has no content"),
        (json!({"content": "secret"}), "message 2 has no role"),
        (json!({"role": "secret", "content": "x"}), "message 2 has a role that is none of"),
        (json!({"role": "user", "content": 3}), "message 2 has a content that is not text"),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": "secret"}]}),
            "message 2 has a part of type image_url: only text can be read",
        ),
        (
            json!({"role": "user", "content": [{"type": "secret"}]}),
            "message 2 has a part of an unknown type: only text can be read",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"function": {}}]}),
            "message 2 has a call without a function's name",
        ),
    ] {
        let refusal = message(bad);
        assert!(refusal.contains(says) && !refusal.contains("secret"), "{refusal}");
    }
}
