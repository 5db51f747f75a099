//! System messages where a template takes them: agents put them anywhere, and templates refuse them
//! anywhere but in front, or altogether.

use serde_json::{Value, json};

/// The same conversation in forms that more templates take, the closest first: all system messages
/// as one in front; the same in the first message of the user, with turns that alternate. None
/// where there are no system messages.
pub(super) fn arrangements(messages: &[Value]) -> Vec<Vec<Value>> {
    let (system, others): (Vec<_>, Vec<_>) =
        messages.iter().cloned().partition(|message| message["role"] == "system");
    if system.is_empty() {
        return Vec::new();
    }
    let system = system.iter().map(content).collect::<Vec<_>>().join("\n\n");
    let mut in_front = vec![json!({ "role": "system", "content": system })];
    in_front.extend(others.iter().cloned());
    vec![in_front, in_users_turn(&system, others)]
}

fn content(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

fn in_users_turn(system: &str, mut messages: Vec<Value>) -> Vec<Value> {
    match messages.iter_mut().find(|message| message["role"] == "user") {
        Some(first) => first["content"] = format!("{system}\n\n{}", content(first)).into(),
        None => messages.insert(0, json!({ "role": "user", "content": system })),
    }
    let mut turns: Vec<Value> = Vec::with_capacity(messages.len());
    for message in messages {
        match turns.last_mut().filter(|last| is_one_turn(last, &message)) {
            Some(last) => {
                last["content"] = format!("{}\n\n{}", content(last), content(&message)).into();
            }
            None => turns.push(message),
        }
    }
    turns
}

/// Whether one plain message goes on with another of the same role.
fn is_one_turn(one: &Value, other: &Value) -> bool {
    let is_plain = |message: &Value| message.get("tool_calls").is_none();
    one["role"] == other["role"] && one["role"] != "tool" && is_plain(one) && is_plain(other)
}

#[cfg(test)]
mod tests;
