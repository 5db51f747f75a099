//! The chart's admission policies on a real API server: the cases of `tests/admission/`, by
//! server-side dry run.
//!
//! Each answer is compared in full with what the same API server makes of the same pod in an
//! excluded namespace: unchanged, or with the sidecar added by hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod closed;
mod cluster;
mod endpoint_key;
mod engine;
mod injection;
mod owned;
