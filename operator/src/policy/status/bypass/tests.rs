use super::*;
use crate::objects::conditions::ConditionStatus;
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
        target_numbers: numbers.to_vec(),
        target_names: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[test]
fn traffic_to_the_port_number_bypasses_the_sidecar() {
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
        let pod = pod(app.clone());
        let found = detect(std::iter::once(&pod), std::slice::from_ref(&service));
        assert_eq!(found.reason, expected, "{app:?} {service:?}");
        let none = found.status == ConditionStatus::False;
        assert_eq!(none, expected == reason::NO_BYPASS);
    }
}
