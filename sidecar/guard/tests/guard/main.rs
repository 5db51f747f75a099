//! The decision under random policies, scores and read patterns, and by examples.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod cases;
mod evidence;
mod fixtures;
mod invariants;
mod overrides;
mod plan;
mod reference;
mod sampling;
mod sections;
mod sentences;
mod unscorable;
mod vectors;
