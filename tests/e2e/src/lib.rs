//! End-to-end tests on a real cluster: what the scenarios share.
//!
//! `cargo xtask test` starts the cluster, installs the charts, and runs the scenarios inside the
//! cluster's network namespace, where the addresses of pods and Services can be reached. Each
//! scenario has a Kubernetes namespace of its own.

pub mod alerting;
pub mod audit;
pub mod chat;
pub mod containers;
pub mod environment;
pub mod fixture;
pub mod objects;
pub mod prompts;
pub mod vllm;
pub mod wait;

pub use environment::variable;
pub use fixture::Fixture;
