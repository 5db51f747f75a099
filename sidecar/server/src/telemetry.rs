//! Logs, metrics and traces. None of them ever carries text of a prompt or a response.

pub mod labels;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use logs::init as init_logs;
pub use metrics::Metrics;
pub use personaguard_ops::logs::LogFormat;
