//! Ways past the sidecar in placement Proxy: it has the app's port by name, so whatever goes by the
//! number never meets it. Pure. What clients do with a pod's own address cannot be seen here; a
//! NetworkPolicy keeps them from it.

use crate::conditions::Verdict;
use crate::pods::PodView;
use crate::services::ServiceView;
use personaguard_api::conditions::{condition, reason};
use std::sync::Arc;

/// The condition, for the pods that a policy selects.
pub(super) fn detect(pods: &[&PodView], services: &[Arc<ServiceView>]) -> Verdict {
    let yes = |reason, message: String| Verdict::yes(condition::BYPASS_DETECTED, reason, message);
    for pod in pods {
        let Some(app) = &pod.app_port else { continue };
        let past = |service: &&Arc<ServiceView>| {
            service.selects(&pod.labels)
                && (service.numbers.contains(&app.number)
                    || service.names.iter().any(|name| app.names.contains(name)))
        };
        if let Some(service) = services.iter().find(past) {
            let message = format!(
                "Service {} sends traffic to port {} of pod {} itself, past the sidecar: give spec.port of the policy as its targetPort, by name.",
                service.name, app.number, pod.name
            );
            return yes(reason::SERVICE_BYPASSES_SIDECAR, message);
        }
        if let Some(host) = app.host_port {
            let message = format!(
                "Port {host} of the node leads to port {} of pod {} itself, past the sidecar: remove hostPort from the container.",
                app.number, pod.name
            );
            return yes(reason::HOST_PORT_BYPASSES_SIDECAR, message);
        }
    }
    Verdict::no(
        condition::BYPASS_DETECTED,
        reason::NO_BYPASS,
        "No Service and no node port leads past the sidecar.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Answer;
    use crate::pods::AppPort;
    use std::collections::BTreeMap;

    fn pod(app_port: AppPort) -> PodView {
        PodView {
            name: "chat-1".into(),
            labels: BTreeMap::from([("app".into(), "chat".into())]),
            app_port: Some(app_port),
            ..PodView::default()
        }
    }

    fn service(app: &str, numbers: &[u16], names: &[&str]) -> Arc<ServiceView> {
        Arc::new(ServiceView {
            name: "chat".into(),
            selector: BTreeMap::from([("app".into(), app.into())]),
            numbers: numbers.to_vec(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    #[test]
    fn what_goes_by_the_number_goes_past_the_sidecar() {
        let plain = AppPort { number: 8000, names: Vec::new(), host_port: None };
        let second = AppPort { names: vec!["also".into()], ..plain.clone() };
        let host = AppPort { host_port: Some(80), ..plain.clone() };
        for (app, service, expected) in [
            (&plain, service("chat", &[8000], &[]), reason::SERVICE_BYPASSES_SIDECAR),
            (&second, service("chat", &[], &["also"]), reason::SERVICE_BYPASSES_SIDECAR),
            (&host, service("chat", &[], &["http"]), reason::HOST_PORT_BYPASSES_SIDECAR),
            (&plain, service("chat", &[9000], &["http"]), reason::NO_BYPASS),
            (&plain, service("other", &[8000], &[]), reason::NO_BYPASS),
        ] {
            let verdict = detect(&[&pod(app.clone())], std::slice::from_ref(&service));
            assert_eq!(verdict.reason, expected, "{app:?} {service:?}");
            assert_eq!(verdict.status == Answer::False, expected == reason::NO_BYPASS);
        }
    }
}
