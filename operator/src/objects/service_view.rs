//! What the operator keeps of a Service: which pods it sends traffic to, and on which ports.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use personaguard_api::names;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceView {
    pub(crate) name: String,
    /// Never empty.
    pub(crate) selector: BTreeMap<String, String>,
    /// Container ports that it targets by number: `targetPort`, or `port` where that is not given.
    pub(crate) target_numbers: Vec<u16>,
    /// Container ports that it targets by name.
    pub(crate) target_names: Vec<String>,
    /// Its ports, if it is headless: clients get the addresses of pods, and use these there.
    pub(crate) headless_ports: Vec<u16>,
    /// Its author says that it does not lead to a model.
    pub(crate) leads_elsewhere: bool,
}

impl ServiceView {
    /// `None` if the Service itself selects no pods.
    pub(crate) fn of(service: Service) -> Option<Self> {
        let name = service.name_any();
        let leads_elsewhere =
            service.annotations().get(names::LEADS_ELSEWHERE).is_some_and(|value| value == "true");
        let spec = service.spec?;
        let selector = spec.selector.filter(|selector| !selector.is_empty())?;
        if spec.type_.as_deref() == Some("ExternalName") {
            return None;
        }
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let (mut target_numbers, mut target_names) = (Vec::new(), Vec::new());
        let mut headless_ports = Vec::new();
        for port in spec.ports.into_iter().flatten() {
            headless_ports.extend(u16::try_from(port.port).ok().filter(|_| headless));
            match port.target_port {
                Some(IntOrString::String(name)) => target_names.push(name),
                Some(IntOrString::Int(number)) => target_numbers.extend(u16::try_from(number)),
                None => target_numbers.extend(u16::try_from(port.port)),
            }
        }
        Some(Self { name, selector, target_numbers, target_names, headless_ports, leads_elsewhere })
    }

    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests;
