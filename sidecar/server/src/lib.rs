//! The sidecar's server: serves a language model and guards what it says by its own activations.
//!
//! A request's way: [`serve`] (HTTP, limits) → the engine → the guard (scores, decision, hold-back)
//! → [`serve`] again. [`config`] reads what is to be enforced, [`host`] keeps what is served in
//! step with it, [`report`] tells the operator.

pub mod audit;
pub mod config;
pub mod host;
pub mod proxy;
pub mod replay;
pub mod report;
pub mod serve;
pub mod sidecar;
pub mod telemetry;

#[cfg(test)]
mod fuzz_tests;
