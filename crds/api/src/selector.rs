//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
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

/// A selector as the API server is told it.
#[must_use]
pub fn label_selector(selector: &Selector) -> LabelSelector {
    let Selector { match_expressions, match_labels } = selector;
    let requirements = match_expressions.iter().map(|requirement| LabelSelectorRequirement {
        key: requirement.key.clone(),
        operator: requirement.operator.clone(),
        values: requirement.values.clone(),
    });
    LabelSelector {
        match_expressions: (!match_expressions.is_empty()).then(|| requirements.collect()),
        match_labels: (!match_labels.is_empty()).then(|| match_labels.clone()),
    }
}

/// Whether a selector selects a pod with these labels, by the same rules as in a sidecar.
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    wire_selector(selector).selects(labels)
}

#[cfg(test)]
mod tests;
