//! Metrics of the operator; names are those of `personaguard_api::metrics`.

use personaguard_api::metrics::operator as name;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Series of one metric at most; the rest is counted under `other`.
const MAX_SERIES: usize = 2000;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) kind: String,
    pub(crate) reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabel {
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Delivery {
    pub(crate) receiver: &'static str,
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Policy {
    pub(crate) namespace: String,
    pub(crate) policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    pub(crate) workload: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TraitOfWorkload {
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) policy: String,
    pub(crate) r#trait: String,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciliations: Family<Outcome, Counter>,
    duration: Family<Kind, Histogram, fn() -> Histogram>,
    reports: Family<ResultLabel, Counter>,
    alerts: Family<Delivery, Counter>,
    pub(crate) leader: Gauge,
    policy_ready: Family<Policy, Gauge>,
    unguarded_pods: Family<Policy, Gauge>,
    breaches: Family<TraitOfWorkload, Counter>,
    drift: Family<TraitOfWorkload, Gauge>,
    breach_series: Mutex<HashSet<TraitOfWorkload>>,
    silent_pods: Family<Workload, Gauge>,
    pub(crate) certificate_expiry: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.5, 12));
        let mut metrics = Self {
            registry: Registry::default(),
            reconciliations: Family::default(),
            duration: Family::new_with_constructor(histogram),
            reports: Family::default(),
            alerts: Family::default(),
            leader: Gauge::default(),
            policy_ready: Family::default(),
            unguarded_pods: Family::default(),
            breaches: Family::default(),
            drift: Family::default(),
            breach_series: Mutex::default(),
            silent_pods: Family::default(),
            certificate_expiry: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        // The library adds `_total` itself.
        let counter = |name: &'static str| name.trim_end_matches("_total");
        registry.register(
            counter(name::RECONCILIATIONS),
            "Reconciliations by what came of them",
            self.reconciliations.clone(),
        );
        registry.register(
            name::RECONCILE_DURATION,
            "Time that a reconciliation took",
            self.duration.clone(),
        );
        registry.register(
            counter(name::REPORTS),
            "Report pushes of sidecars by what came of them",
            self.reports.clone(),
        );
        registry.register(
            counter(name::ALERTS),
            "Alerts that the operator itself sent",
            self.alerts.clone(),
        );
        registry.register(name::LEADER, "1 on the operator that leads", self.leader.clone());
        registry.register(
            name::POLICY_READY,
            "0 while a policy is not in force as written, else 1",
            self.policy_ready.clone(),
        );
        registry.register(
            name::POLICY_UNGUARDED_PODS,
            "Pods that a policy selects and that do not enforce it",
            self.unguarded_pods.clone(),
        );
        registry.register(
            counter(name::WORKLOAD_BREACHES),
            "Breaches over the whole life of a workload",
            self.breaches.clone(),
        );
        registry.register(
            name::WORKLOAD_DRIFT,
            "1 while a trait's scores have moved from its calibration",
            self.drift.clone(),
        );
        registry.register(
            name::WORKLOAD_SILENT_PODS,
            "Guarded pods that have not reported of late",
            self.silent_pods.clone(),
        );
        registry.register(
            name::CERTIFICATE_EXPIRY,
            "End of the report server's certificate",
            self.certificate_expiry.clone(),
        );
    }

    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn reconciled(&self, kind: &str, reason: &str, seconds: f64) {
        let outcome = Outcome { kind: kind.to_owned(), reason: reason.to_owned() };
        self.reconciliations.get_or_create(&outcome).inc();
        self.duration.get_or_create(&Kind { kind: kind.to_owned() }).observe(seconds);
    }

    pub(crate) fn report(&self, result: &'static str) {
        self.reports.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn alerts(&self, receiver: &'static str, result: &'static str, count: usize) {
        self.alerts.get_or_create(&Delivery { receiver, result }).inc_by(count as u64);
    }

    pub(crate) fn policy(&self, namespace: &str, policy: &str, ready: bool, unguarded: usize) {
        let labels = Policy { namespace: namespace.to_owned(), policy: policy.to_owned() };
        self.policy_ready.get_or_create(&labels).set(i64::from(ready));
        self.unguarded_pods
            .get_or_create(&labels)
            .set(i64::try_from(unguarded).unwrap_or(i64::MAX));
    }

    pub(crate) fn policy_gone(&self, namespace: &str, policy: &str) {
        let labels = Policy { namespace: namespace.to_owned(), policy: policy.to_owned() };
        self.policy_ready.remove(&labels);
        self.unguarded_pods.remove(&labels);
    }

    pub(crate) fn silent_pods(&self, namespace: &str, workload: &str, silent: usize) {
        let labels = Workload { namespace: namespace.to_owned(), workload: workload.to_owned() };
        self.silent_pods.get_or_create(&labels).set(i64::try_from(silent).unwrap_or(i64::MAX));
    }

    pub(crate) fn workload_gone(&self, namespace: &str, workload: &str) {
        self.silent_pods
            .remove(&Workload { namespace: namespace.to_owned(), workload: workload.to_owned() });
        let mut series = self.breach_series.lock().unwrap_or_else(PoisonError::into_inner);
        series.retain(|labels| {
            let gone = labels.namespace == namespace && labels.workload == workload;
            if gone {
                self.breaches.remove(labels);
                self.drift.remove(labels);
            }
            !gone
        });
    }

    /// Brings the counter up to a total, and says whether drift is in force.
    pub(crate) fn scores(&self, labels: TraitOfWorkload, breaches: u64, drift: bool) {
        let mut series = self.breach_series.lock().unwrap_or_else(PoisonError::into_inner);
        if !series.contains(&labels) && series.len() >= MAX_SERIES {
            return;
        }
        let counter = self.breaches.get_or_create_owned(&labels);
        self.drift.get_or_create(&labels).set(i64::from(drift));
        series.insert(labels);
        counter.inc_by(breaches.saturating_sub(counter.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_rules_and_the_dashboard_know_them() {
        let metrics = Metrics::new();
        metrics.reconciled("PersonaPolicy", "Resolved", 0.01);
        metrics.report("accepted");
        metrics.alerts("webhook", "delivered", 2);
        metrics.policy("support", "no-villains", true, 0);
        metrics.silent_pods("support", "Deployment/chat", 1);
        let labels = || TraitOfWorkload {
            namespace: "support".into(),
            workload: "Deployment/chat".into(),
            policy: "no-villains".into(),
            r#trait: "evil".into(),
        };
        metrics.scores(labels(), 3, false);
        metrics.scores(labels(), 5, true);
        let text = metrics.encode();
        for line in [
            "personaguard_operator_reconciliations_total{kind=\"PersonaPolicy\",reason=\"Resolved\"} 1",
            "personaguard_operator_reports_total{result=\"accepted\"} 1",
            "personaguard_operator_alerts_total{receiver=\"webhook\",result=\"delivered\"} 2",
            "personaguard_operator_leader 0",
            "personaguard_policy_ready{namespace=\"support\",policy=\"no-villains\"} 1",
            "personaguard_workload_breaches_total{namespace=\"support\",workload=\"Deployment/chat\",policy=\"no-villains\",trait=\"evil\"} 5",
            "personaguard_workload_drift_detected{namespace=\"support\",workload=\"Deployment/chat\",policy=\"no-villains\",trait=\"evil\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
        metrics.workload_gone("support", "Deployment/chat");
        assert!(!metrics.encode().contains("evil"));
    }
}
