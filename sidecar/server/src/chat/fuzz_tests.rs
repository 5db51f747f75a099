//! Hostile bodies of chat requests.

use super::request::ChatRequest;
use bolero::check;

#[test]
fn fuzz_bodies_of_chat_requests() {
    check!(name = "chat-request").for_each(|input| {
        for parse in [ChatRequest::parse, ChatRequest::parse_responses, ChatRequest::parse_messages]
        {
            if let Err(error) = parse(input) {
                assert!(error.status.is_client_error(), "{}", error.code());
            }
        }
    });
}
