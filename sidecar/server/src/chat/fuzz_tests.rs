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
        "\"n\":2",
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,\"parameters\":{}}}]",
        "\"tool_choice\":\"required\"",
        "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
        "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
        "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\"}",
        "null",
        "\\ud800",
        "1e999",
        "18446744073709551616",
        ",",
    ];
    run("chat-request", &words, |input| match ChatRequest::parse(input) {
        Ok(request) => {
            let calls = request
                .messages
                .iter()
                .filter(|message| message.get("tool_calls").is_some())
                .count();
            let offered = request.tools.as_ref().map_or(0, |tools| 1 + tools.functions.len());
            outcome(&[
                1,
                request.messages.len() as u64,
                request.stop.len() as u64,
                calls as u64,
                offered as u64,
            ])
        }
        Err(error) => outcome(
            &error
                .code()
                .bytes()
                .map(u64::from)
                .chain([u64::from(error.status.as_u16())])
                .collect::<Vec<_>>(),
        ),
    });
}
