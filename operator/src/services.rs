//! What the operator needs to know of a Service: which pods it sends traffic to, and on which
//! ports.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceView {
    pub(crate) name: String,
    /// Labels of the pods that it sends traffic to, never empty.
    pub(crate) selector: BTreeMap<String, String>,
    /// Container ports by number: those of `targetPort`, or of `port` where that is not given.
    pub(crate) numbers: Vec<u16>,
    /// Container ports by name.
    pub(crate) names: Vec<String>,
}

impl ServiceView {
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Nothing for a Service that selects no pods by itself.
    pub(crate) fn of(service: Service) -> Option<Self> {
        let name = service.name_any();
        let spec = service.spec?;
        let selector = spec.selector.filter(|selector| !selector.is_empty())?;
        if spec.type_.as_deref() == Some("ExternalName") {
            return None;
        }
        let (mut numbers, mut names) = (Vec::new(), Vec::new());
        for port in spec.ports.into_iter().flatten() {
            match port.target_port {
                Some(IntOrString::String(name)) => names.push(name),
                Some(IntOrString::Int(number)) => numbers.extend(u16::try_from(number)),
                None => numbers.extend(u16::try_from(port.port)),
            }
        }
        Some(Self { name, selector, numbers, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(spec: &serde_json::Value) -> Option<ServiceView> {
        ServiceView::of(
            serde_json::from_value(json!({ "metadata": { "name": "chat" }, "spec": spec }))
                .unwrap(),
        )
    }

    #[test]
    fn ports_go_by_name_by_number_or_by_their_own() {
        let ports = json!([{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8000}, {"port": 8080}]);
        let service = view(&json!({"selector": {"app": "chat"}, "ports": ports})).unwrap();
        assert_eq!(
            (service.numbers.as_slice(), service.names.as_slice()),
            ([8000, 8080].as_slice(), ["http".to_owned()].as_slice())
        );
        assert!(service.selects(&BTreeMap::from([
            ("app".into(), "chat".into()),
            ("tier".into(), "a".into())
        ])));
        assert!(!service.selects(&BTreeMap::new()));
    }

    #[test]
    fn a_service_that_selects_nothing_by_itself_is_left_out() {
        assert_eq!(view(&json!({"ports": [{"port": 80}]})), None);
        assert_eq!(
            view(
                &json!({"type": "ExternalName", "externalName": "a.b", "selector": {"app": "chat"}})
            ),
            None
        );
    }
}
