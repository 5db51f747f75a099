//! The sidecar: serves a language model and guards what it says by its own activations.
//!
//! A request's way: [`serve`] (HTTP, limits) → the engine → [`guard`] (scores, decision, hold-back)
//! → [`serve`] again. [`config`] reads what is to be enforced, [`host`] keeps what is served in
//! step with it, [`report`] tells the operator.

pub mod audit;
pub mod commands;
pub mod config;
pub mod extract;
pub mod guard;
pub mod host;
pub mod proxy;
pub mod report;
pub mod serve;
pub mod sidecar;
pub mod telemetry;

#[cfg(test)]
mod fuzz_tests;
