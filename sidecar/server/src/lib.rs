//! The sidecar's server: serves a language model and guards what it says by its own activations.
//!
//! A request's way: [`http`] (sockets, limits) → [`chat`] → the engine → the guard (scores,
//! decision, hold-back) → [`chat`] again. [`proxy`] stands in front of another server instead,
//! whose own engine may be the one that is read (`personaguard-engine-link`).
//! [`config`] reads what is to be enforced, [`runtime`] keeps what is served in step with it,
//! [`report`] tells the operator.
//!
//! Imports run one way: [`config`], [`audit`], [`connections`], [`telemetry`],
//! [`http`] · [`report`] · [`runtime`], `openai` · `session` · [`chat`], [`proxy`], [`admin`] ·
//! [`sidecar`].

pub mod admin;
pub mod audit;
pub mod chat;
pub mod config;
pub mod connections;
pub mod http;
mod openai;
pub mod proxy;
pub mod replay;
pub mod report;
pub mod runtime;
mod session;
pub mod sidecar;
pub mod telemetry;

#[cfg(test)]
mod fuzz_tests;
