//! What the guard writes itself, in place of what does not leave: the end of a choice that a policy
//! stopped, in the API of the request.

mod choices;
mod messages;
mod responses;

use super::answer::{Naming, shorten};
use super::path::Api;
use crate::http::sse::{Event, write_event};
use bytes::{Bytes, BytesMut};
use choices::ChunkHead;
use messages::OpenMessage;
use responses::OpenResponse;
use serde_json::{Value, json};

/// The state of a stream, as far as its end depends on it.
#[derive(Debug)]
pub(super) struct Ending {
    naming: Naming,
    head: ChunkHead,
    message: OpenMessage,
    response: OpenResponse,
}

impl Ending {
    pub(super) fn new(naming: Naming) -> Self {
        let head = ChunkHead::new(&naming);
        Self { naming, head, message: OpenMessage::default(), response: OpenResponse::default() }
    }

    /// Names of what the stream is made of.
    pub(super) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// An event came.
    pub(super) fn learn(&mut self, payload: &Value) {
        match self.naming.api {
            Api::Chat | Api::Completions => self.head.learn(payload),
            Api::Messages => self.head.learn(&payload["message"]),
            Api::Responses => self.head.learn(&payload["response"]),
        }
    }

    /// An event left.
    pub(super) fn left(&mut self, payload: &Value) {
        match self.naming.api {
            Api::Chat | Api::Completions => {}
            Api::Messages => self.message.left(payload),
            Api::Responses => self.response.left(payload),
        }
    }

    /// Events left, as they were written.
    pub(super) fn left_bytes(&mut self, event: &Bytes) {
        if matches!(self.naming.api, Api::Messages | Api::Responses)
            && let Some(data) = Event(event.clone()).data()
            && let Ok(payload) = serde_json::from_slice(&data)
        {
            self.left(&payload);
        }
    }

    /// Writes the last events of a choice that was stopped, with what stands in place of the rest.
    pub(super) fn end_choice(&mut self, index: usize, text: Option<&str>, out: &mut BytesMut) {
        let events = match self.naming.api {
            Api::Chat | Api::Completions => self.head.end(self.naming.api, index, text),
            Api::Messages => self.message.end(&self.head, text),
            Api::Responses => self.response.end(&self.head, text),
        };
        for event in events {
            self.write(&event, out);
        }
    }

    /// Writes what ends a stream of this API after all of its choices.
    pub(super) fn finish(&self, out: &mut BytesMut) {
        if matches!(self.naming.api, Api::Chat | Api::Completions) {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    /// Writes an event as the API has it: with its name, where events have names.
    pub(super) fn write(&self, payload: &Value, out: &mut BytesMut) {
        if let (Api::Messages | Api::Responses, Some(name)) =
            (self.naming.api, payload["type"].as_str())
        {
            out.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        write_event(out, payload);
    }
}

/// Puts `text` in place of what a stopped choice says in a whole body, but for its first `keep`
/// bytes. `at` is its place among the choices.
pub(super) fn cut_whole(api: Api, body: &mut Value, at: usize, keep: usize, text: &str) {
    match api {
        Api::Chat | Api::Completions => {
            let Some(choice) = body.get_mut("choices").and_then(|choices| choices.get_mut(at))
            else {
                return;
            };
            let index = choice["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            if keep > 0 && shorten(choice, keep, text) {
                choice["finish_reason"] = json!("content_filter");
            } else {
                *choice = choices::whole(api, index.unwrap_or_default(), text);
            }
        }
        Api::Messages => messages::cut(body, keep, text),
        Api::Responses => responses::cut(body, keep, text),
    }
}

/// The whole response to a prompt that is not answered, with this text in place of each choice.
pub(super) fn whole(naming: &Naming, choices: usize, text: &str, prompt_tokens: usize) -> Value {
    match naming.api {
        Api::Chat | Api::Completions => choices::body(naming, choices, text, prompt_tokens),
        Api::Messages => messages::body(naming, text, prompt_tokens),
        Api::Responses => responses::body(naming, text, prompt_tokens),
    }
}
