//! The sidecar's server: serves a language model and guards what it says by its own activations.
//!
//! A request's way: [`serve`] (HTTP, limits) → the engine → the guard (scores, decision, hold-back)
//! → [`serve`] again. [`config`] reads what is to be enforced, [`runtime`] keeps what is served in
//! step with it, [`report`] tells the operator.
//!
//! Imports run one way: [`config`], [`audit`], [`telemetry`] · [`report`] · [`runtime`] ·
//! [`serve`] · [`proxy`] · [`sidecar`].

pub mod audit;
pub mod config;
pub mod proxy;
pub mod replay;
pub mod report;
pub mod runtime;
pub mod serve;
pub mod sidecar;
pub mod telemetry;

#[cfg(test)]
mod fuzz_tests;
