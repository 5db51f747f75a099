//! Hostile bodies of chat requests.

use super::request::ChatRequest;
use bolero::check;

#[test]
fn fuzz_bodies_of_chat_requests() {
    check!(name = "chat-request").for_each(|input| {
        if let Err(error) = ChatRequest::parse(input) {
            assert!(error.status.is_client_error(), "{}", error.code());
        }
    });
}
