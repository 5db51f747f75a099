//! Hostile bytes of clients and upstream servers.

use super::held::{HeldStream, tests::plan};
use super::path::Api;
use super::payload;
use super::request::{ProxiedRequest, without_extension};
use super::transcript::Transcript;
use crate::http::sse::Splitter;
use crate::runtime::AppState;
use bolero::check;
use personaguard_guard::Decision;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The text that a client finds in a stream. Lines without data and errors of the server are not
/// part of an answer.
fn says(stream: &[u8]) -> String {
    let mut splitter = Splitter::default();
    splitter.push(stream);
    let mut text = String::new();
    while let Ok(Some(event)) = splitter.next() {
        let payload = event.data().and_then(|data| serde_json::from_slice(&data).ok());
        let added = payload.and_then(|payload| payload::read(&payload).ok()).unwrap_or_default();
        text.extend(added.into_iter().map(|added| added.text));
    }
    text
}

#[test]
fn fuzz_sse_of_an_upstream_server() {
    // A panic ends the test: nothing of these is used after it.
    let app = AssertUnwindSafe(Arc::new(AppState::default()));
    let plans = AssertUnwindSafe([
        (plan("Block", "Closed", 4), false),
        (plan("Redact", "Closed", 4), false),
        (plan("Block", "Open", 4), true),
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
        // No text leaves before it is scored. What fails open passes unchanged.
        for (plan, is_open) in plans.iter() {
            let decision = Decision::new(Arc::clone(plan));
            let transcript = Transcript::new(Arc::clone(&app), decision, tracing::Span::none());
            let mut held = HeldStream::new(transcript, Api::Chat, 1);
            let mut out = Vec::new();
            for piece in input.chunks(97) {
                held.push(piece);
                out.extend(held.release().unwrap_or_default());
            }
            if !*is_open {
                assert!(!says(&out).contains("secret"), "{}", String::from_utf8_lossy(&out));
            }
            held.end();
            if *is_open {
                held.transcript.fail(personaguard_guard::UnscoredReason::Deadline);
                out.extend(held.release().unwrap_or_default());
                assert_eq!(out, input, "what fails open passes unchanged");
            } else {
                out.extend(held.release().unwrap_or_default());
            }
            held.transcript.forget();
        }
    });
}

#[test]
fn fuzz_bodies_of_proxied_requests() {
    check!(name = "proxy-request").for_each(|input| {
        for api in [Api::Chat, Api::Text] {
            if let Ok(request) = ProxiedRequest::read(api, input) {
                let other = ProxiedRequest::read(api, &without_extension(input)).expect("readable");
                assert!(other.extension.is_none() && other.n == request.n);
            }
        }
    });
}
