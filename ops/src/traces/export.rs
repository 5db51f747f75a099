//! The exporter of spans.

#[cfg(test)]
mod tests;

use super::plan::{Destination, Protocol};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use std::time::Duration;
use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// For one request to a collector, where OTEL_EXPORTER_OTLP_TIMEOUT says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
    service: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TracesError {
    #[error("the certificate cannot be read: {0}")]
    Certificate(#[from] std::io::Error),
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] reqwest::Error),
    #[error("{0}")]
    Exporter(#[from] ExporterBuildError),
}

/// An exporter to a destination. The SDK itself reads sampler, limits and batches from the
/// environment; the exporter headers and timeout.
pub(super) fn build(
    service: &'static str,
    destination: &Destination,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Exporter, TracesError> {
    let certificate = destination.certificate.as_ref().map(std::fs::read).transpose()?;
    let exporter = match destination.protocol {
        Protocol::Http => http(destination, certificate)?,
        Protocol::Grpc => grpc(destination, certificate)?,
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .with_resource(resource(service, variable))
        .build();
    Ok(Exporter { provider, service })
}

fn http(
    destination: &Destination,
    certificate: Option<Vec<u8>>,
) -> Result<SpanExporter, TracesError> {
    let mut builder =
        SpanExporter::builder().with_http().with_endpoint(destination.endpoint.clone());
    // Whatever the environment says: the plan has read it.
    builder = builder.with_protocol(opentelemetry_otlp::Protocol::HttpBinary);
    if destination.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    if let Some(pem) = certificate {
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)?;
        let client = reqwest::Client::builder().timeout(TIMEOUT).tls_certs_merge(authorities);
        builder = builder.with_http_client(client.build()?);
    }
    Ok(builder.build()?)
}

fn grpc(
    destination: &Destination,
    certificate: Option<Vec<u8>>,
) -> Result<SpanExporter, TracesError> {
    let mut builder =
        SpanExporter::builder().with_tonic().with_endpoint(destination.endpoint.clone());
    if destination.gzip {
        builder = builder.with_compression(Compression::Gzip);
    }
    if destination.endpoint.starts_with("https:") {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(pem) = certificate {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        builder = builder.with_tls_config(tls);
    }
    Ok(builder.build()?)
}

/// The service's name and version, where the environment does not name others.
fn resource(service: &'static str, variable: &dyn Fn(&str) -> Option<String>) -> Resource {
    let given = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let names = |attribute: &str| {
        given.split(',').any(|pair| pair.trim().split('=').next() == Some(attribute))
    };
    let is_named = variable("OTEL_SERVICE_NAME").is_some_and(|name| !name.trim().is_empty());
    let mut resource = Resource::builder();
    if !is_named && !names("service.name") {
        resource = resource.with_service_name(service);
    }
    if !names("service.version") {
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        resource = resource.with_attribute(version);
    }
    resource.build()
}

impl Exporter {
    /// The layer that exports the spans of which `is_ours` holds.
    pub fn layer<S>(&self, is_ours: fn(&Metadata<'_>) -> bool) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(self.service))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(is_ours))
            .boxed()
    }

    /// Sends what is left.
    pub fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}
