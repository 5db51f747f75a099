//! Streams of events with names, in the two APIs whose answers are made of parts.

use super::call::Part;
use super::choices::Choices;
use super::guarded::{End, Output};
use crate::http::{ApiError, event_stream};
use crate::openai::ToolCall;
use axum::response::Response;
use axum::response::sse::Event;
use futures::{StreamExt as _, stream};
use serde_json::Value;
use std::collections::VecDeque;

/// What an API makes of an answer that is being written.
pub(super) trait NamedEvents: Send + 'static {
    /// A kind of part that is made of text.
    type Text;
    /// That of reasoning.
    const THOUGHT: Self::Text;
    /// That of the answer.
    const SAID: Self::Text;

    /// Events that are ready.
    fn ready(&mut self) -> &mut VecDeque<Value>;

    /// More text of such a part.
    fn text(&mut self, part: Self::Text, text: &str);

    /// A call: it comes as a whole.
    fn call(&mut self, called: &ToolCall);

    /// The answer ended.
    fn end(&mut self, end: &End);

    /// The answer failed.
    fn fail(&mut self, error: &ApiError);
}

/// Streams the only choice.
pub(super) fn streamed<E: NamedEvents>(events: E, choices: Choices) -> Response {
    let first = (events, Some(choices));
    let events = stream::unfold(first, |(mut events, mut choices)| async move {
        loop {
            if let Some(event) = events.ready().pop_front() {
                return Some((named(event), (events, choices)));
            }
            match choices.as_mut()?.next().await {
                Some((_, Ok(Output::Part(Part::Thought(text))))) => events.text(E::THOUGHT, &text),
                Some((_, Ok(Output::Part(Part::Text(piece))))) => {
                    events.text(E::SAID, &piece.text);
                }
                Some((_, Ok(Output::Part(Part::Call(called))))) => events.call(&called.into_body()),
                Some((_, Ok(Output::End(end)))) => events.end(&end),
                Some((_, Err(error))) => {
                    events.fail(&error);
                    choices = None;
                }
                None => choices = None,
            }
        }
    });
    event_stream(events.boxed())
}

/// An event, under its name.
fn named(event: Value) -> Result<Event, axum::Error> {
    let name = event["type"].as_str().unwrap_or_default().to_owned();
    Event::default().event(name).json_data(event)
}
