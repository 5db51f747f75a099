//! Labels of the metrics.

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReconciliationLabels {
    pub(super) kind: String,
    pub(super) reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabel {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DeliveryLabels {
    pub(super) receiver: &'static str,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PolicyLabels {
    pub(super) namespace: String,
    pub(super) policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WorkloadLabels {
    pub(super) namespace: String,
    pub(super) workload: String,
}

/// One trait of one policy, in one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TraitLabels {
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) policy: String,
    pub(crate) r#trait: String,
}

impl KindLabel {
    pub(super) fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned() }
    }
}

impl PolicyLabels {
    pub(super) fn new(namespace: &str, policy: &str) -> Self {
        Self { namespace: namespace.to_owned(), policy: policy.to_owned() }
    }
}

impl WorkloadLabels {
    pub(super) fn new(namespace: &str, workload: &str) -> Self {
        Self { namespace: namespace.to_owned(), workload: workload.to_owned() }
    }
}
