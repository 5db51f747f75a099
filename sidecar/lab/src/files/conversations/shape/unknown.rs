//! What a row is, if it is no conversation.

use serde_json::Value;

/// Names that fields of data sets have. Only these are named in messages, for a field's name may be
/// a secret, too.
const NAMES: [&str; 24] = [
    "answers",
    "caption",
    "code",
    "completion",
    "content",
    "context",
    "data",
    "document",
    "image",
    "input",
    "label",
    "markdown",
    "message_tree",
    "output",
    "query",
    "rejected",
    "response",
    "sentence",
    "summary",
    "target",
    "text",
    "title",
    "train",
    "url",
];
/// Names of fields that hold the samples themselves.
const LISTS: [&str; 8] =
    ["data", "train", "rows", "examples", "samples", "items", "records", "dataset"];

/// What a row is, and what to do. The text continues a sentence whose subject is the row.
pub(super) fn unknown(row: &Value) -> String {
    let fields = match row {
        Value::Object(fields) => fields,
        Value::Array(_) => return "is a list that holds no messages: leave it out".to_owned(),
        Value::Null => return "is null, not a conversation: leave it out".to_owned(),
        Value::String(_) => return "is a text without roles: give {\"messages\": […]}".to_owned(),
        Value::Bool(_) | Value::Number(_) => {
            return "is a number, not a conversation: leave it out".to_owned();
        }
    };
    if fields.is_empty() {
        return "is an object without fields: leave it out".to_owned();
    }
    if fields.contains_key("input_ids") {
        return "is tokens (input_ids): give the text that they were made from".to_owned();
    }
    if let Some(name) = LISTS.into_iter().find(|name| fields.get(*name).is_some_and(is_rows)) {
        return format!(
            "is an object with the samples in its field {name}: `jq -c '.{name}[]' FILE` makes \
             JSON lines of them"
        );
    }
    if fields.get("text").is_some_and(Value::is_string) {
        return "is one text in the field text, in which prompt and answer cannot be told apart: \
                give the conversations from which it was rendered, as {\"messages\": [{\"role\": \
                …, \"content\": …}, …]}"
            .to_owned();
    }
    let mut named: Vec<&str> =
        NAMES.into_iter().filter(|name| fields.contains_key(*name)).collect();
    let others = match (fields.len() - named.len(), named.is_empty()) {
        (0, _) => String::new(),
        (count, true) => format!("{count} that no known shape has"),
        (count, false) => format!("{count} more"),
    };
    if !others.is_empty() {
        named.push(&others);
    }
    format!(
        "has no known shape. Its fields: {}. Read are: messages; conversations; prompt and \
         completion; instruction, input and output; question and answer; prompt, chosen and \
         rejected. Rename fields Q and A with `jq -c '{{prompt: .Q, completion: .A}}' FILE`",
        named.join(", ")
    )
}

fn is_rows(value: &Value) -> bool {
    value.as_array().is_some_and(|rows| rows.first().is_some_and(Value::is_object))
}
