//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use personaguard_wire::{Requirement, Selector};
use std::collections::BTreeMap;

/// A selector as sidecars are told it.
#[must_use]
pub fn wire_selector(selector: &LabelSelector) -> Selector {
    let requirements = selector.match_expressions.iter().flatten();
    Selector {
        match_expressions: requirements
            .map(|requirement| Requirement {
                key: requirement.key.clone(),
                operator: requirement.operator.clone(),
                values: requirement.values.clone(),
            })
            .collect(),
        match_labels: selector.match_labels.clone().unwrap_or_default(),
    }
}

/// Whether a selector selects a pod with these labels, by the same rules as in a sidecar.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    wire_selector(selector).selects(labels)
}

#[cfg(test)]
mod tests;
