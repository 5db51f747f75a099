//! Logs, and traces of reconciliations over OTLP if an endpoint is given.

use crate::settings::LogFormat;
use anyhow::Result;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

/// Writes logs to stderr, at the levels in `RUST_LOG` (default `info`), and sends spans to
/// `endpoint`. Call it inside a Tokio runtime.
pub(crate) fn init(format: LogFormat, endpoint: Option<&str>) -> Result<Option<SdkTracerProvider>> {
    let provider = endpoint.map(provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let layer =
            tracing_opentelemetry::layer().with_tracer(provider.tracer("personaguard-operator"));
        layer.with_filter(tracing_subscriber::filter::filter_fn(|metadata| {
            metadata.is_span() && metadata.target().starts_with("personaguard_operator")
        }))
    });
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Json => logs.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => logs.boxed(),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    Registry::default().with(logs.with_filter(filter)).with(spans).try_init()?;
    Ok(provider)
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .with_resource(Resource::builder().with_service_name("personaguard-operator").build())
        .build())
}
