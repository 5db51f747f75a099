//! What an answer says: the text of each choice, out of chunks and whole bodies.

use serde_json::Value;

/// Choices of one answer at most.
pub(super) const MAX_CHOICES: usize = 128;

/// What cannot be read as text, told without any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// What one chunk, or a whole body, adds to a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) choice: usize,
    pub(super) text: String,
    /// It makes sense as a whole only: a tool call.
    pub(super) whole: bool,
    pub(super) finish: Option<Finish>,
}

/// How the upstream server says that a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
}

/// Reads a chunk or a whole body. One without choices (usage, an error) adds nothing.
pub(super) fn read(payload: &Value) -> Result<Vec<Added>, Unreadable> {
    let Value::Object(fields) = payload else { return Err(Unreadable("a chunk is not an object")) };
    match fields.get("choices") {
        Some(Value::Array(choices)) => choices.iter().map(choice).collect(),
        None | Some(Value::Null) if fields.contains_key("error") => Ok(Vec::new()),
        _ => Err(Unreadable("a chunk has no choices")),
    }
}

fn choice(choice: &Value) -> Result<Added, Unreadable> {
    let Value::Object(fields) = choice else { return Err(Unreadable("a choice is not an object")) };
    let index = match fields.get("index") {
        None | Some(Value::Null) => 0,
        Some(index) => {
            index.as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX)
        }
    };
    if index >= MAX_CHOICES {
        return Err(Unreadable("a choice has no sensible index"));
    }
    let (mut text, mut whole) = (String::new(), false);
    for said in SAID {
        let said = fields.get(said).unwrap_or(&Value::Null);
        collect(said, &mut text)?;
        whole |= ["tool_calls", "function_call"]
            .iter()
            .any(|call| said.get(call).is_some_and(|call| !call.is_null()));
    }
    let finish = fields.get("finish_reason").and_then(Value::as_str);
    let finish =
        finish.map(|reason| if reason == "length" { Finish::Length } else { Finish::Stop });
    Ok(Added { choice: index, text, whole, finish })
}

/// Fields of a choice that hold what it says.
const SAID: [&str; 3] = ["delta", "message", "text"];

/// Leaves of what a choice says its first `keep` bytes, with `then` after them, and no log
/// probabilities. False, and nothing changed, where it says anything but plain content.
pub(super) fn shorten(choice: &mut Value, keep: usize, then: &str) -> bool {
    let Ok(Added { text, .. }) = self::choice(choice) else { return false };
    let Some(kept) = text.get(..keep) else { return false };
    let pointers = ["/delta/content", "/message/content", "/text"];
    let Some(content) = pointers.iter().find(|content| {
        choice.pointer(content).and_then(Value::as_str).is_some_and(|content| content == text)
    }) else {
        return false;
    };
    if let Some(content) = choice.pointer_mut(content) {
        *content = format!("{kept}{then}").into();
    }
    if let Some(logprobs) = choice.get_mut("logprobs") {
        *logprobs = Value::Null;
    }
    true
}

/// Every text in it, in its order: content, refusals, reasoning, tool calls with their arguments,
/// and whatever a server adds.
fn collect(value: &Value, text: &mut String) -> Result<(), Unreadable> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(piece) => text.push_str(piece),
        Value::Array(values) => values.iter().try_for_each(|value| collect(value, text))?,
        Value::Object(fields) => {
            if fields
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| !READABLE.contains(&kind))
            {
                return Err(Unreadable("a part of the answer is not text"));
            }
            for (name, value) in fields {
                match name.as_str() {
                    "role" | "id" | "type" | "tool_call_id" => {}
                    "audio" | "image" | "image_url" | "images" | "video" if !value.is_null() => {
                        return Err(Unreadable("a part of the answer is not text"));
                    }
                    _ => collect(value, text)?,
                }
            }
        }
    }
    Ok(())
}

/// Types of parts that hold nothing but text.
const READABLE: [&str; 11] = [
    "text",
    "function",
    "refusal",
    "output_text",
    "reasoning",
    "reasoning.text",
    "reasoning.summary",
    "thinking",
    "tool_use",
    "url_citation",
    "custom",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
    fn one(choice: Value) -> Added {
        read(&json!({ "choices": [choice] })).unwrap().remove(0)
    }

    #[test]
    fn everything_that_is_said_is_read() {
        assert_eq!(
            one(json!({ "index": 1, "delta": { "role": "assistant", "content": "Hi" } })).text,
            "Hi"
        );
        assert_eq!(
            one(json!({ "text": " there", "finish_reason": "length" })).finish,
            Some(Finish::Length)
        );
        let call = json!({ "message": { "content": null, "tool_calls": [
            { "id": "call_1", "type": "function", "function": { "name": "mail", "arguments": "{\"to\": 1}" } }] } });
        assert_eq!(one(call).text, "mail{\"to\": 1}");
        assert_eq!(
            one(json!({ "delta": { "reasoning_content": "hm", "content": "x", "anything_new": ["y"] } })).text,
            "hmxy"
        );
        assert_eq!(
            one(json!({ "message": { "content": [{ "type": "text", "text": "a" }] } })).text,
            "a"
        );
        assert_eq!(read(&json!({ "choices": [], "usage": {} })), Ok(vec![]));
        assert_eq!(read(&json!({ "error": { "message": "no" } })), Ok(vec![]));
    }

    #[test]
    fn plain_content_alone_is_shortened() {
        let mut plain = json!({ "index": 1, "message": { "role": "assistant", "content": "Été. Non." }, "logprobs": {} });
        assert!(shorten(&mut plain, 7, "[x]"));
        assert_eq!(
            plain,
            json!({ "index": 1, "message": { "role": "assistant", "content": "Été. [x]" }, "logprobs": null })
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
        assert!(one(json!({ "delta": { "tool_calls": [call] } })).whole);
        assert!(!one(json!({ "delta": { "content": "a", "tool_calls": null } })).whole);
    }

    #[test]
    fn what_is_not_text_or_not_openai_is_told_apart() {
        for odd in [
            json!([]),
            json!({ "response": "text in another format" }),
            json!({ "choices": "x" }),
            json!({ "choices": [1] }),
            json!({ "choices": [{ "index": 128 }] }),
            json!({ "choices": [{ "index": -1 }] }),
            json!({ "choices": [{ "message": { "audio": { "data": "AAAA" } } }] }),
            json!({ "choices": [{ "delta": { "content": [{ "type": "image_url", "image_url": { "url": "x" } }] } }] }),
        ] {
            assert!(read(&odd).is_err(), "{odd}");
        }
    }
}
