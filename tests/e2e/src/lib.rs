//! End-to-end tests on a real cluster: what each scenario shares.
//!
//! `cargo xtask test` brings up the cluster, installs the charts and runs these inside the
//! cluster's network namespace, so that pod and service addresses are reachable. Each scenario
//! works in a Kubernetes namespace of its own.

pub mod alerting;
pub mod audit;
pub mod chat;
pub mod containers;
pub mod environment;
pub mod fixture;
pub mod objects;
pub mod prompts;
pub mod wait;

pub use environment::variable;
pub use fixture::Fixture;
