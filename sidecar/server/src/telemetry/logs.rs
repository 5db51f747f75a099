//! Logs of the process.

use super::traces::is_exported;
use personaguard_ops::logs::{self, LogFormat};
use personaguard_ops::traces::Traces;

/// Starts logs, and sends spans to `traces` if given.
pub fn init(format: LogFormat, traces: Option<&Traces>) {
    let exporter = traces.and_then(|traces| traces.exporter.as_ref());
    logs::init(format, false, exporter.map(|exporter| exporter.layer(is_exported)));
    if let Some(traces) = traces {
        traces.tell();
    }
}
