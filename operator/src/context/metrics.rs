//! Metrics of the operator. Their names are those of `personaguard_api::metrics`.

mod labels;

pub(crate) use labels::TraitLabels;

use labels::{
    DeliveryLabels, KindLabel, PolicyLabels, ReconciliationLabels, ResultLabel, WorkloadLabels,
};
use personaguard_api::metrics::operator as name;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Series per metric with [`TraitLabels`]; further ones are left out, and counted.
const MAX_TRAIT_SERIES: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    #[cfg(test)]
    registered: Vec<&'static str>,
    reconciliations: Family<ReconciliationLabels, Counter>,
    reconcile_duration: Family<KindLabel, Histogram, fn() -> Histogram>,
    reports: Family<ResultLabel, Counter>,
    alerts: Family<DeliveryLabels, Counter>,
    unreadable_objects: Family<KindLabel, Gauge>,
    refused_writes: Family<KindLabel, Counter>,
    pub(crate) leader: Gauge,
    policy_ready: Family<PolicyLabels, Gauge>,
    unguarded_pods: Family<PolicyLabels, Gauge>,
    breaches: Family<TraitLabels, Counter>,
    drift: Family<TraitLabels, Gauge>,
    trait_series: Mutex<HashSet<TraitLabels>>,
    series_left_out: Counter,
    silent_pods: Family<WorkloadLabels, Gauge>,
    audit_log_gaps: Family<WorkloadLabels, Gauge>,
    pub(crate) certificate_expiry: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.5, 12));
        let mut metrics = Self {
            registry: Registry::default(),
            #[cfg(test)]
            registered: Vec::new(),
            reconciliations: Family::default(),
            reconcile_duration: Family::new_with_constructor(histogram),
            reports: Family::default(),
            alerts: Family::default(),
            unreadable_objects: Family::default(),
            refused_writes: Family::default(),
            leader: Gauge::default(),
            policy_ready: Family::default(),
            unguarded_pods: Family::default(),
            breaches: Family::default(),
            drift: Family::default(),
            trait_series: Mutex::default(),
            series_left_out: Counter::default(),
            silent_pods: Family::default(),
            audit_log_gaps: Family::default(),
            certificate_expiry: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        self.add(name::RECONCILIATIONS, "Reconciliations by outcome", self.reconciliations.clone());
        self.add(
            name::RECONCILE_DURATION,
            "Duration of reconciliations",
            self.reconcile_duration.clone(),
        );
        self.add(name::REPORTS, "Pushes of sidecars and Jobs by result", self.reports.clone());
        self.add(name::ALERTS, "Alerts sent by the operator itself", self.alerts.clone());
        self.add(
            name::UNREADABLE_OBJECTS,
            "Objects that this operator cannot read",
            self.unreadable_objects.clone(),
        );
        self.add(
            name::REFUSED_WRITES,
            "Writes that the API server refused",
            self.refused_writes.clone(),
        );
        self.add(name::LEADER, "1 on the operator that leads", self.leader.clone());
        self.add(
            name::POLICY_READY,
            "1 while a policy is in force as written, else 0",
            self.policy_ready.clone(),
        );
        self.add(
            name::POLICY_UNGUARDED_PODS,
            "Pods that a policy selects and that do not enforce it",
            self.unguarded_pods.clone(),
        );
        self.add(
            name::WORKLOAD_BREACHES,
            "Breaches over a workload's whole life",
            self.breaches.clone(),
        );
        self.add(
            name::SERIES_LEFT_OUT,
            "Observations of workloads and traits that have no series",
            self.series_left_out.clone(),
        );
        self.add(
            name::WORKLOAD_DRIFT,
            "1 while a trait's scores have moved from their calibration",
            self.drift.clone(),
        );
        self.add(
            name::WORKLOAD_SILENT_PODS,
            "Pods with a sidecar that have not reported recently",
            self.silent_pods.clone(),
        );
        self.add(
            name::WORKLOAD_AUDIT_LOG_GAPS,
            "Pods whose audit log lacks lines that it had, or tells of a gap",
            self.audit_log_gaps.clone(),
        );
        self.add(
            name::CERTIFICATE_EXPIRY,
            "Expiry of the report server's certificate",
            self.certificate_expiry.clone(),
        );
    }

    fn add(&mut self, name: &'static str, help: &str, metric: impl Metric) {
        #[cfg(test)]
        self.registered.push(name);
        // The library adds `_total` to counters itself.
        self.registry.register(name.trim_end_matches("_total"), help, metric);
    }

    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn reconciled(&self, kind: &str, reason: &str, seconds: f64) {
        let labels = ReconciliationLabels { kind: kind.to_owned(), reason: reason.to_owned() };
        self.reconciliations.get_or_create(&labels).inc();
        self.reconcile_duration.get_or_create(&KindLabel::new(kind)).observe(seconds);
    }

    /// Counts a push of a sidecar or a Job.
    pub(crate) fn push(&self, result: &'static str) {
        self.reports.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn alerts(&self, receiver: &'static str, result: &'static str, count: usize) {
        self.alerts.get_or_create(&DeliveryLabels { receiver, result }).inc_by(count as u64);
    }

    pub(crate) fn set_unreadable(&self, kind: &'static str, count: usize) {
        self.unreadable_objects.get_or_create(&KindLabel::new(kind)).set(gauge(count));
    }

    pub(crate) fn write_refused(&self, kind: &str) {
        self.refused_writes.get_or_create(&KindLabel::new(kind)).inc();
    }

    pub(crate) fn set_policy(&self, namespace: &str, policy: &str, ready: bool, unguarded: usize) {
        let labels = PolicyLabels::new(namespace, policy);
        self.policy_ready.get_or_create(&labels).set(i64::from(ready));
        self.unguarded_pods.get_or_create(&labels).set(gauge(unguarded));
    }

    pub(crate) fn remove_policy(&self, namespace: &str, policy: &str) {
        let labels = PolicyLabels::new(namespace, policy);
        self.policy_ready.remove(&labels);
        self.unguarded_pods.remove(&labels);
    }

    pub(crate) fn set_silent_pods(&self, namespace: &str, workload: &str, silent: usize) {
        self.silent_pods
            .get_or_create(&WorkloadLabels::new(namespace, workload))
            .set(gauge(silent));
    }

    pub(crate) fn set_audit_log_gaps(&self, namespace: &str, workload: &str, pods: usize) {
        let labels = WorkloadLabels::new(namespace, workload);
        self.audit_log_gaps.get_or_create(&labels).set(gauge(pods));
    }

    /// Raises the breach counter to a total, and says whether drift is detected.
    pub(crate) fn set_trait(&self, labels: TraitLabels, breaches: u64, drift: bool) {
        let mut series = self.trait_series.lock().unwrap_or_else(PoisonError::into_inner);
        if !series.contains(&labels) && series.len() >= MAX_TRAIT_SERIES {
            self.series_left_out.inc();
            return;
        }
        let counter = self.breaches.get_or_create_owned(&labels);
        self.drift.get_or_create(&labels).set(i64::from(drift));
        series.insert(labels);
        counter.inc_by(breaches.saturating_sub(counter.get()));
    }

    pub(crate) fn remove_workload(&self, namespace: &str, workload: &str) {
        self.silent_pods.remove(&WorkloadLabels::new(namespace, workload));
        self.audit_log_gaps.remove(&WorkloadLabels::new(namespace, workload));
        let mut series = self.trait_series.lock().unwrap_or_else(PoisonError::into_inner);
        series.retain(|labels| {
            let removed = labels.namespace == namespace && labels.workload == workload;
            if removed {
                self.breaches.remove(labels);
                self.drift.remove(labels);
            }
            !removed
        });
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
