//! What a response says: the text of each choice, out of chunks and whole bodies. All of it is
//! read, also in fields that are not OpenAI's, so the bodies are not typed.

use serde_json::Value;

/// Choices of one response at most.
pub(super) const MAX_CHOICES: usize = 128;

/// Why something cannot be read as text; it holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// What one chunk, or a whole body, adds to a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChoiceDelta {
    pub(super) choice: usize,
    pub(super) text: String,
    /// It makes sense as a whole only: a tool call.
    pub(super) is_whole: bool,
    pub(super) finish: Option<Finish>,
}

/// How the upstream server says that a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
}

/// Reads a chunk or a whole body. One without choices (usage, an error) adds nothing.
pub(super) fn read(payload: &Value) -> Result<Vec<ChoiceDelta>, Unreadable> {
    let Value::Object(fields) = payload else { return Err(Unreadable("a chunk is not an object")) };
    match fields.get("choices") {
        Some(Value::Array(choices)) => choices.iter().map(choice).collect(),
        None | Some(Value::Null) if fields.contains_key("error") => Ok(Vec::new()),
        _ => Err(Unreadable("a chunk has no choices")),
    }
}

fn choice(choice: &Value) -> Result<ChoiceDelta, Unreadable> {
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
    let (mut text, mut is_whole) = (String::new(), false);
    for field in CONTENT_FIELDS {
        let said = fields.get(field).unwrap_or(&Value::Null);
        collect(said, &mut text)?;
        is_whole |= ["tool_calls", "function_call"]
            .iter()
            .any(|call| said.get(call).is_some_and(|call| !call.is_null()));
    }
    let finish = fields.get("finish_reason").and_then(Value::as_str);
    let finish =
        finish.map(|reason| if reason == "length" { Finish::Length } else { Finish::Stop });
    Ok(ChoiceDelta { choice: index, text, is_whole, finish })
}

/// Fields of a choice that hold what it says.
const CONTENT_FIELDS: [&str; 3] = ["delta", "message", "text"];

/// Cuts what a choice says after its first `keep` bytes, puts `then` after them, and drops the log
/// probabilities. False, and nothing changed, where it says anything but plain content.
pub(super) fn shorten(choice: &mut Value, keep: usize, then: &str) -> bool {
    let Ok(ChoiceDelta { text, .. }) = self::choice(choice) else { return false };
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

/// All text in it, in its order: content, refusals, reasoning, tool calls with their arguments, and
/// whatever a server adds.
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
mod tests;
