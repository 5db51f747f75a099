//! Traces over OTLP, as OpenTelemetry's own variables say. A guard does not go down for its traces:
//! what cannot be followed is told, and the traces are off, or as close to it as they can be.

mod export;
mod plan;

pub use export::Exporter;

use export::build;
use plan::Plan;

/// The exporter, and what is to be told once there are logs.
#[derive(Debug)]
pub struct Traces {
    /// None: no spans are sent.
    pub exporter: Option<Exporter>,
    warnings: Vec<String>,
}

impl Traces {
    /// Reads the environment; `endpoint` is a collector's URL that takes precedence over it. Needs
    /// a Tokio runtime.
    #[must_use]
    pub fn from_environment(service: &'static str, endpoint: Option<&str>) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let Plan { destination, mut warnings } = Plan::read(endpoint, &variable);
        let exporter = destination.map(|destination| build(service, &destination, &variable));
        let exporter = exporter.transpose().unwrap_or_else(|error| {
            warnings.push(format!("no traces are sent: {error}"));
            None
        });
        Self { exporter, warnings }
    }

    /// Logs what could not be followed.
    pub fn tell(&self) {
        for warning in &self.warnings {
            tracing::warn!("OpenTelemetry: {warning}");
        }
    }
}
