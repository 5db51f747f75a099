//! Registering metrics.

use prometheus_client::registry::{Metric, Registry};

/// Registers a metric under its name as it is scraped, and returns it.
pub(super) fn register<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    // The encoder adds this suffix to counters, and no other metric has it.
    let name = name.strip_suffix("_total").unwrap_or(name);
    registry.register(name, help, metric.clone());
    metric
}
