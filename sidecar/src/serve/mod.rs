//! The OpenAI-compatible API, health and metrics.

mod admin;
mod answer;
mod attempt;
mod begin;
mod body;
mod chat;
mod choices;
mod coherence;
mod crowd;
mod error;
mod format;
mod listen;
mod models;
mod record;
mod request;
mod response;
mod retry;
mod router;
mod sse;

pub(crate) use chat::{decide, not_ready, system_prompt};
pub(crate) use error::ApiError;
pub use listen::{Limits, listen};
pub(crate) use record::{Record, Said};
pub(crate) use request::demands_of;
pub(crate) use response::Usage;
pub(crate) use router::catch_panics;
pub use router::{admin as admin_router, api as api_router};

#[cfg(test)]
mod fuzz_tests {
    use super::request::ChatRequest;
    use crate::fuzz_tests::mutate::{outcome, run};

    #[test]
    fn fuzz_bodies_of_chat_requests() {
        let words = [
            "{",
            "}",
            "[",
            "]",
            "\"messages\":",
            "\"role\":\"user\"",
            "\"content\":",
            "\"type\":\"text\"",
            "\"text\":\"x\"",
            "\"stop\":",
            "\"seed\":-1",
            "\"personaguard\":{\"scores\":true}",
            "\"logprobs\":true",
            "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{}}}",
            "\"top_logprobs\":21",
            "null",
            "\\ud800",
            "1e999",
            "18446744073709551616",
            ",",
        ];
        run("chat-request", &words, |input| match ChatRequest::parse(input) {
            Ok(request) => outcome(&[1, request.messages.len() as u64, request.stop.len() as u64]),
            Err(error) => outcome(
                &error.code().bytes().map(u64::from).chain([u64::from(error.status.as_u16())]).collect::<Vec<_>>(),
            ),
        });
    }
}
