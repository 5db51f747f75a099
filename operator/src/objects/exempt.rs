//! Pods that the chart's admission policy leaves alone. Pure.

use k8s_openapi::api::core::v1::{Affinity, NodeSelectorTerm, Pod, PodSpec};
use kube::ResourceExt;
use personaguard_api::names;
use std::collections::BTreeMap;

const WINDOWS: &str = "windows";
/// Labels of nodes that say their operating system.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/// Why nothing is ever injected into a pod, if nothing is.
pub(super) fn exempt(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    let opted_out = |map: &BTreeMap<String, String>| {
        map.get(names::INJECT).is_some_and(|value| value == "false")
    };
    if spec.host_network == Some(true) {
        Some("on the host's network")
    } else if opted_out(pod.labels()) || opted_out(pod.annotations()) {
        Some("opted out by personaguard.dev/inject")
    } else if is_for_windows(spec) {
        Some("for Windows nodes")
    } else if pod.annotations().contains_key("kubernetes.io/config.mirror") {
        Some("static")
    } else {
        None
    }
}

/// By its OS, its node selector, or every term of its required node affinity.
fn is_for_windows(spec: &PodSpec) -> bool {
    let selected = |label: &&str| {
        let selector = spec.node_selector.as_ref();
        selector.and_then(|selector| selector.get(*label)).is_some_and(|os| os == WINDOWS)
    };
    spec.os.as_ref().is_some_and(|os| os.name == WINDOWS)
        || OS_LABELS.iter().any(selected)
        || spec.affinity.as_ref().is_some_and(requires_windows)
}

fn requires_windows(affinity: &Affinity) -> bool {
    let affinity = affinity.node_affinity.as_ref();
    let required = affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.map_or(&[][..], |required| &required.node_selector_terms);
    let windows = |term: &NodeSelectorTerm| {
        term.match_expressions.iter().flatten().any(|requirement| {
            OS_LABELS.contains(&requirement.key.as_str())
                && requirement.operator == "In"
                && requirement.values.as_deref() == Some(&[WINDOWS.to_owned()])
        })
    };
    !terms.is_empty() && terms.iter().all(windows)
}

#[cfg(test)]
mod tests;
