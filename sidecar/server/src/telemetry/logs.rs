//! Logs of the process on stderr: JSON lines for machines, or text for people.

use super::traces::Exporter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Sends logs to stderr, at the levels that `RUST_LOG` names (default `info`), and spans to
/// `traces` if given.
pub fn init(format: LogFormat, traces: Option<&Exporter>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Text => logs.boxed(),
    };
    let logs = logs.with_filter(filter);
    // A second call, as in tests, changes nothing.
    let _ = Registry::default().with(logs).with(traces.map(Exporter::layer)).try_init();
}
