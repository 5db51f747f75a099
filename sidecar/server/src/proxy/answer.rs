//! What a response says: the text of each choice, out of events and whole bodies.
//!
//! Reading takes out of a payload everything that is not on an allowlist. What stays was either
//! given as text, to be scored, or says nothing ([`Shape`](super::shape::Shape)). So a field that
//! nobody knows neither leaves unscored nor changes the score.

mod choices;
mod content;
mod error;
mod finish;
mod head;
mod logprobs;
mod messages;
mod naming;
mod responses;
mod token_ids;
mod tool_calls;
mod usage;

pub(super) use content::shorten;
pub(super) use error::withheld;
pub(super) use finish::Finish;
pub(super) use naming::Naming;
pub(super) use responses::is_repeated;
pub(super) use token_ids::TokenIds;

use super::path::Api;
use serde_json::Value;

/// Choices of one response at most.
pub(super) const MAX_CHOICES: usize = 128;

/// Why something cannot be read as text; it holds none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// What one event, or a whole body, adds to a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChoiceDelta {
    pub(super) choice: usize,
    pub(super) text: String,
    /// Bytes at the beginning of the text that the server calls reasoning.
    pub(super) reasoning: usize,
    /// It makes sense as a whole only: a tool call.
    pub(super) is_whole: bool,
    pub(super) finish: Option<Finish>,
    pub(super) token_ids: TokenIds,
}

impl ChoiceDelta {
    fn say(&mut self, text: &str, is_reasoning: bool) {
        if is_reasoning && self.reasoning == self.text.len() {
            self.reasoning += text.len();
        }
        self.text.push_str(text);
    }
}

/// Which part of a response a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One event of a stream.
    Event,
    /// The whole body.
    Whole,
}

/// Reads a payload, and leaves of it what may leave once its text was scored. `is_known` tells
/// whether the first choice has said a text before: some events repeat what others said.
pub(super) fn read(
    naming: &Naming,
    part: Part,
    payload: &mut Value,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<Vec<ChoiceDelta>, Unreadable> {
    let Value::Object(fields) = payload else { return Err(Unreadable("a chunk is not an object")) };
    match (naming.api, part) {
        (Api::Chat | Api::Completions, _) => choices::read(naming, part, fields),
        (Api::Messages, Part::Event) => messages::event(naming, fields),
        (Api::Messages, Part::Whole) => messages::whole(naming, fields),
        (Api::Responses, Part::Event) => responses::event(naming, fields, is_known),
        (Api::Responses, Part::Whole) => responses::whole(naming, fields, is_known),
    }
}

/// Whether an event says that nothing more comes.
pub(super) fn is_last(naming: &Naming, payload: &Value) -> bool {
    let kind = payload["type"].as_str().unwrap_or_default();
    match naming.api {
        Api::Chat | Api::Completions => false,
        Api::Messages => kind == "message_stop",
        Api::Responses => {
            matches!(kind, "response.completed" | "response.incomplete" | "response.failed")
        }
    }
}

#[cfg(test)]
mod tests;
