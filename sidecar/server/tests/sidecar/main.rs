//! The sidecar as a whole, in this process, with the real engine and a tiny model.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod actions;
mod api;
mod audit;
mod bad_requests;
mod bypass;
mod carriers;
mod choices;
mod clients;
mod compatibility;
mod config;
mod connections;
mod enforcement;
mod engine;
mod engine_choices;
mod engine_faults;
mod engine_regenerate;
mod engine_streams;
mod engine_uncounted;
mod failures;
mod faults;
mod formats;
mod front;
mod hub;
mod invariants;
mod limits;
mod other_apis;
mod pacing;
mod proxied_actions;
mod proxy;
mod reports;
mod requests;
mod rig;
mod scrape;
mod sections;
mod serve_faults;
mod serve_messages;
mod serve_other_apis;
mod silence;
mod steering;
mod tools;
mod upstream;
mod upstream_quirks;
mod vllm;
