//! Logs of the process on stderr: JSON lines for machines, or text for people.

mod filter;
mod json;

use json::JsonLines;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Something beside the logs that hears of spans.
pub type Spans = Box<dyn Layer<Registry> + Send + Sync>;

/// Sends logs to stderr, at the levels that `RUST_LOG` names (default `info`), and spans to
/// `spans`. JSON lines name the span that an event is in if `in_span`.
pub fn init(format: LogFormat, in_span: bool, spans: Option<Spans>) {
    let levels = std::env::var_os("RUST_LOG").map(|levels| levels.to_string_lossy().into_owned());
    let (filter, complaint) = filter::read(levels.as_deref());
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Json => {
            logs.fmt_fields(JsonFields::new()).event_format(JsonLines { in_span }).boxed()
        }
        LogFormat::Text => logs.boxed(),
    };
    // A second call, as in tests, changes nothing.
    let _ = Registry::default().with(spans).with(logs.with_filter(filter)).try_init();
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
}
