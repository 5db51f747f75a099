use super::*;
use crate::chat::call_format::sample_conversation;

#[test]
fn calls_and_results_become_text_of_their_turns() {
    let call = |name: &str| {
        json!({
            "id": name, "type": "function", "function": { "name": name, "arguments": { "a": 1 } }
        })
    };
    let messages = [
        json!({ "role": "user", "content": "hi" }),
        json!({ "role": "assistant", "content": "Wait.", "tool_calls": [call("f"), call("g")] }),
        json!({ "role": "tool", "content": "1", "tool_call_id": "f", "name": "f" }),
        json!({ "role": "tool", "content": "2", "tool_call_id": "g", "name": "g" }),
        json!({ "role": "assistant", "content": "Done." }),
        json!({ "role": "tool", "content": "3", "tool_call_id": "g", "name": "g" }),
    ];
    let written = |name: &str| {
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{\"a\":1}}}}\n</tool_call>")
    };
    let result = |text: &str| format!("<tool_response>\n{text}\n</tool_response>");
    assert_eq!(
        tool_messages_as_text(&messages),
        [
            messages[0].clone(),
            json!({ "role": "assistant", "content": format!("Wait.\n{}\n{}", written("f"),
                written("g")) }),
            json!({ "role": "user", "content": format!("{}\n{}", result("1"), result("2")) }),
            messages[4].clone(),
            json!({ "role": "user", "content": result("3") }),
        ]
    );
}

#[test]
fn functions_are_described_in_the_system_message_or_one_of_their_own() {
    let (_, tools) = sample_conversation();
    let tools = tools.as_array().unwrap();
    let (system, user) = (
        json!({ "role": "system", "content": "Be kind." }),
        json!({ "role": "user", "content": "hi" }),
    );
    let both = describe_functions(&[system, user.clone()], tools, DescribeIn::System);
    assert!(both[0]["content"].as_str().unwrap().starts_with("Be kind.\n\nYou can call"));
    assert!(both[0]["content"].as_str().unwrap().contains("\"sample_name\""));
    assert_eq!(describe_functions(std::slice::from_ref(&user), tools, DescribeIn::System).len(), 2);
    let within = describe_functions(&[user], tools, DescribeIn::User);
    assert!(within.len() == 1 && within[0]["content"].as_str().unwrap().ends_with("\n\nhi"));
}
