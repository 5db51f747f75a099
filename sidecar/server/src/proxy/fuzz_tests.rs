//! Hostile bytes of clients and upstream servers.

use super::held::HeldStream;
use super::held::tests::{ending, plan, plan_with};
use super::path::Api;
use super::request::ProxiedRequest;
use super::transcript::Transcript;
use crate::http::sse::Splitter;
use crate::runtime::AppState;
use bolero::check;
use personaguard_guard::{Decision, UnscoredReason};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

#[test]
fn fuzz_sse_of_an_upstream_server() {
    // A panic ends the test: nothing of these is used after it.
    let app = AssertUnwindSafe(Arc::new(AppState::default()));
    let plans = AssertUnwindSafe([
        (plan("Block", "Closed", 4), false),
        (plan("Redact", "Closed", 4), false),
        (plan_with("Block", "Open", 4, "Pass"), true),
    ]);
    check!(name = "sse").for_each(|input| {
        // Whole or byte by byte: the same events, and no byte is lost.
        let events = |size: usize| {
            let (mut splitter, mut events) = (Splitter::default(), Vec::new());
            for piece in input.chunks(size) {
                splitter.push(piece);
                while let Ok(Some(event)) = splitter.next() {
                    events.push(event);
                }
            }
            (events, splitter.rest())
        };
        let whole = events(input.len().max(1));
        assert_eq!(whole, events(1));
        let bytes: usize = whole.0.iter().map(|event| event.0.len()).sum();
        assert_eq!(bytes + whole.1.len(), input.len());
        // No word leaves before it is scored. What may pass unread passes unchanged.
        for (plan, is_open) in plans.iter() {
            let decision = Decision::new(Arc::clone(plan));
            let transcript = Transcript::new(Arc::clone(&app), decision, tracing::Span::none());
            let mut held = HeldStream::new(transcript, ending(Api::Chat), 1);
            if *is_open {
                held.transcript.fail(UnscoredReason::NotUnderstood);
            }
            let mut out = Vec::new();
            for piece in input.chunks(97) {
                held.push(piece);
                out.extend(held.release().unwrap_or_default());
            }
            if !*is_open {
                let out = String::from_utf8_lossy(&out);
                assert!(!out.contains("secret"), "{out}");
            }
            held.end();
            out.extend(held.release().unwrap_or_default());
            if *is_open {
                assert_eq!(out, input, "what may pass unread passes unchanged");
            }
            held.transcript.forget();
        }
    });
}

#[test]
fn fuzz_bodies_of_proxied_requests() {
    check!(name = "proxy-request").for_each(|input| {
        for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
            if let Ok(request) = ProxiedRequest::read(api, input) {
                // What is sent on says the same, and so to every reader.
                let body = request.body.clone();
                let other = ProxiedRequest::read(api, &body).expect("readable");
                let strict = serde_json::from_slice::<serde_json::Value>(&body);
                // Some readers do not go as deep.
                let too_deep = |error: &serde_json::Error| error.to_string().contains("recursion");
                match strict {
                    Ok(strict) => assert!(strict.get("personaguard").is_none()),
                    Err(error) => assert!(too_deep(&error), "{error}"),
                }
                let mut request = request;
                request.extension = None;
                assert_eq!(other, request);
            }
        }
    });
}
