//! A real Prometheus and Alertmanager beside the cluster.

/// Prometheus and Alertmanager in the cluster's network.
#[derive(Clone, Debug)]
pub struct Monitoring;
