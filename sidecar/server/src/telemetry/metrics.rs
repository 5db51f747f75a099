//! Metrics of the sidecar. Their names and labels are those of
//! [`personaguard_terms::metrics::sidecar`].
//!
//! Label values come from fixed lists and from the policies in force, so that the config bounds the
//! number of series. Series of a policy end with it.

mod engine;
mod policies;
mod process;
mod register;
mod responses;

pub use engine::EngineMetrics;
pub use policies::PolicyMetrics;
pub use process::ProcessMetrics;
pub use responses::ResponseMetrics;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// Every metric of the sidecar.
#[derive(Debug)]
pub struct Metrics {
    /// Responses and their tokens.
    pub responses: ResponseMetrics,
    /// The policies in force.
    pub policies: PolicyMetrics,
    /// The process: model, config, logs and reports.
    pub process: ProcessMetrics,
    /// The plugin in the model server.
    pub engine: EngineMetrics,
    registry: Registry,
}

impl Default for Metrics {
    /// All metrics at zero.
    fn default() -> Self {
        let mut registry = Registry::default();
        Self {
            responses: ResponseMetrics::new(&mut registry),
            policies: PolicyMetrics::new(&mut registry),
            process: ProcessMetrics::new(&mut registry),
            engine: EngineMetrics::new(&mut registry),
            registry,
        }
    }
}

impl Metrics {
    /// The metrics as [`personaguard_ops::scrape::Format::write`] takes them.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
