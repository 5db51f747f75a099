//! The text of a message.

use serde_json::Value;

/// Kinds of parts that hold text.
const TEXT: [&str; 3] = ["text", "input_text", "output_text"];
/// Kinds of parts that can be named in a message.
const OTHER: [&str; 12] = [
    "audio",
    "document",
    "file",
    "image",
    "image_url",
    "input_audio",
    "input_image",
    "thinking",
    "tool_result",
    "tool_use",
    "video",
    "video_url",
];

/// The text of a message's content: a text, a list of parts of text, or nothing.
///
/// # Errors
/// What is there in its place. The text continues a sentence whose subject is the message.
pub(super) fn text(content: &Value) -> Result<String, String> {
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts.iter().map(part).collect(),
        Value::Object(_) => part(content),
        Value::Bool(_) | Value::Number(_) => {
            Err("has a content that is not text: write it as a text".to_owned())
        }
    }
}

fn part(part: &Value) -> Result<String, String> {
    let field = |key: &str| part.get(key).and_then(Value::as_str);
    let kind = field("type");
    match (part, kind) {
        (Value::String(text), _) => Ok(text.clone()),
        (_, Some("refusal")) => Ok(field("refusal").unwrap_or_default().to_owned()),
        (_, kind) if kind.is_none_or(|kind| TEXT.contains(&kind)) => match field("text") {
            Some(text) => Ok(text.to_owned()),
            None => Err("has a part without a text: give it one, or leave it out".to_owned()),
        },
        (_, kind) => {
            let known = OTHER.into_iter().find(|other| kind == Some(*other));
            let what =
                known.map_or("of an unknown type".to_owned(), |known| format!("of type {known}"));
            Err(format!("has a part {what}: only text can be read"))
        }
    }
}
