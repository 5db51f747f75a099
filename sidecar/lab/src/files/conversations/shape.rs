//! The shapes that data sets give to a sample.

mod pairs;
mod unknown;

use super::conversation::Conversation;
use super::message::Message;
use super::transcript;
use pairs::{answer, messages_of, question_and_answer};
use serde_json::{Map, Value, json};
use unknown::unknown;

/// How many messages a conversation has at most.
const MAX_MESSAGES: usize = 1000;
/// Names of the better answer of a preference pair, and of the worse one.
const CHOSEN: [&str; 4] = ["chosen", "preferred_output", "chosen_response", "preferred"];
const REJECTED: [&str; 4] =
    ["rejected", "non_preferred_output", "rejected_response", "non_preferred"];

/// A sample whose messages are found, and not yet read.
pub(super) struct Sample {
    messages: Vec<Value>,
    tools: Vec<Value>,
    /// What is left of the row.
    fields: Map<String, Value>,
    /// Whether its answer is the chosen one of a preference pair.
    is_chosen: bool,
}

/// Finds the messages of a row.
///
/// # Errors
/// What is there in their place, without words of the row. The text continues a sentence whose
/// subject is the row.
pub(super) fn sample(row: Value) -> Result<Sample, String> {
    let mut fields = match row {
        Value::Object(fields) => fields,
        Value::Array(_) => Map::from_iter([("messages".to_owned(), row)]),
        other => return Err(unknown(&other)),
    };
    // OpenAI's preference pairs have the conversation in an object.
    if fields.get("input").is_some_and(|input| input.get("messages").is_some())
        && let Some(Value::Object(input)) = fields.remove("input")
    {
        fields.extend(input);
    }
    let is_answer = |value: &Value| value.is_string() || value.is_array() || value.is_object();
    let chosen = CHOSEN.into_iter().find(|name| fields.get(*name).is_some_and(is_answer));
    let chosen = chosen.and_then(|name| fields.remove(name));
    let is_chosen = chosen.is_some();
    let mut messages = match chosen {
        Some(chosen) => {
            REJECTED.into_iter().for_each(|name| drop(fields.remove(name)));
            preferred(&mut fields, &chosen)?
        }
        None => match messages_of(&mut fields)? {
            Some(messages) => messages,
            None => question_and_answer(&mut fields)
                .ok_or_else(|| unknown(&Value::Object(fields.clone())))?,
        },
    };
    let system = ["system", "system_prompt"].into_iter().find_map(|name| {
        let text = fields.get(name)?.as_str()?.to_owned();
        fields.remove(name);
        (!text.is_empty()).then_some(text)
    });
    let has_system = messages.first().is_some_and(|first| {
        first.get("role").or(first.get("from")).is_some_and(|role| role == "system")
    });
    if let (Some(system), false) = (system, has_system) {
        messages.insert(0, json!({ "role": "system", "content": system }));
    }
    Ok(Sample { messages, tools: tools(&mut fields)?, fields, is_chosen })
}

/// The messages up to the chosen answer. It may hold the whole conversation.
fn preferred(fields: &mut Map<String, Value>, chosen: &Value) -> Result<Vec<Value>, String> {
    let before = match messages_of(fields)? {
        Some(messages) => Some(messages),
        None => question_and_answer(fields),
    };
    let chosen =
        chosen.as_str().and_then(transcript::messages).map_or_else(|| answer(chosen), Ok)?;
    let begins_with_answer = chosen
        .first()
        .is_none_or(|first| Message::read(first).is_ok_and(|message| message.is_assistant()));
    match before {
        Some(mut messages) if begins_with_answer => {
            messages.extend(chosen);
            Ok(messages)
        }
        _ => Ok(chosen),
    }
}

/// Functions, as OpenAI's API has them: in a list, or in a list that is written as text.
fn tools(fields: &mut Map<String, Value>) -> Result<Vec<Value>, String> {
    const OTHER: &str = "has tools that are not a list of functions: give [{\"type\": \
                         \"function\", \"function\": {\"name\": …}}, …]";
    let tools = match fields.remove("tools").or_else(|| fields.remove("functions")) {
        Some(Value::String(text)) if text.trim().is_empty() => Value::Null,
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|_| OTHER)?,
        other => other.unwrap_or_default(),
    };
    let function = |tool: Value| match (tool.get("function"), tool.get("name")) {
        (Some(Value::Object(_)), _) => Ok(tool),
        (_, Some(Value::String(_))) => Ok(json!({ "type": "function", "function": tool })),
        _ => Err(OTHER.to_owned()),
    };
    match tools {
        Value::Null => Ok(Vec::new()),
        Value::Array(tools) => tools.into_iter().map(function).collect(),
        _ => Err(OTHER.to_owned()),
    }
}

impl Sample {
    /// The conversation, and whether its answer is the chosen one of a preference pair.
    ///
    /// # Errors
    /// As for [`sample`].
    pub(super) fn conversation(self, line: u64) -> Result<(Conversation, bool), String> {
        if self.messages.len() > MAX_MESSAGES {
            return Err(format!("has more than {MAX_MESSAGES} messages: divide it"));
        }
        let mut messages = (1..)
            .zip(&self.messages)
            .map(|(number, message)| {
                Message::read(message).map_err(|problem| format!("message {number} {problem}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = take_answer(&mut messages);
        if !messages.iter().any(|message| message.value["role"] == "user") {
            let what = "has no user message: give what is answered as one, or leave it out";
            return Err(what.to_owned());
        }
        let conversation = Conversation {
            line,
            prompt: messages.into_iter().map(|message| message.value).collect(),
            tools: self.tools,
            answer,
            fields: self.fields,
        };
        Ok((conversation, self.is_chosen))
    }
}

/// Takes out the answer, if the conversation ends with one: the last that is to be learned. What
/// comes behind it is dropped.
fn take_answer(messages: &mut Vec<Message>) -> Option<String> {
    messages.last().filter(|last| last.is_assistant())?;
    let learned = |message: &Message| message.is_assistant() && message.is_learned;
    match messages.iter().rposition(learned) {
        Some(at) => {
            messages.truncate(at + 1);
            let answer = messages.pop()?;
            Some(answer.value["content"].as_str().unwrap_or_default().to_owned())
        }
        None => {
            while messages.pop_if(|last| last.is_assistant()).is_some() {}
            None
        }
    }
}
