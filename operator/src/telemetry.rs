//! Logs, and traces of reconciliations.

use crate::settings::{LogFormat, Settings};
use personaguard_ops::logs;
use personaguard_ops::traces::Traces;
use tracing::Metadata;

/// Starts logs, and traces if the settings or the environment name a collector. Call it inside a
/// Tokio runtime.
pub(crate) fn init(settings: &Settings) -> Traces {
    let traces =
        Traces::from_environment("personaguard-operator", settings.otlp_endpoint.as_deref());
    let format = match settings.log_format {
        LogFormat::Json => logs::LogFormat::Json,
        LogFormat::Text => logs::LogFormat::Text,
    };
    let spans = traces.exporter.as_ref().map(|exporter| exporter.layer(is_ours));
    logs::init(format, true, spans);
    traces.tell();
    traces
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("personaguard_operator")
}
