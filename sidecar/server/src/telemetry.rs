//! Logs, metrics and traces. None of them ever carries prompt or response text.

pub mod logs;
pub mod metrics;
pub mod traces;

pub use logs::{LogFormat, init as init_logs};
pub use metrics::Metrics;
