use super::*;
use crate::fixtures::report;
use crate::objects::OwnServer;
use crate::objects::conditions::ConditionStatus;
use crate::policy::status::guarded::classify;
use personaguard_api::{Connections, PodCounts};
use std::collections::BTreeMap;

fn pod(app_port: AppPort) -> PodView {
    PodView {
        name: "chat-1".into(),
        labels: BTreeMap::from([("app".into(), "chat".into())]),
        sidecar: Some("smollm2".into()),
        app_port: Some(app_port),
        ..PodView::default()
    }
}

fn plain() -> AppPort {
    AppPort { number: 8000, names: Vec::new(), host_port: None }
}

fn service(app: &str, numbers: &[u16], names: &[&str]) -> ServiceView {
    ServiceView {
        name: "chat".into(),
        selector: BTreeMap::from([("app".into(), app.into())]),
        target_numbers: numbers.to_vec(),
        target_names: names.iter().map(|name| (*name).to_owned()).collect(),
        headless_ports: Vec::new(),
        leads_elsewhere: false,
    }
}

fn found(
    placement: Placement,
    pod: &PodView,
    report: Option<&PodCounts>,
    services: &[ServiceView],
) -> NewCondition {
    let services: Vec<_> = services.iter().cloned().map(Arc::new).collect();
    detect(placement, &[classify(pod, report, "smollm2", None, None)], &services)
}

#[test]
fn traffic_to_the_port_number_bypasses_the_sidecar() {
    let plain = plain();
    let second = AppPort { names: vec!["also".into()], ..plain.clone() };
    let host = AppPort { host_port: Some(80), ..plain.clone() };
    let headless =
        |port| ServiceView { headless_ports: vec![port], ..service("chat", &[], &["http"]) };
    for (app, service, expected) in [
        (&plain, service("chat", &[8000], &[]), reason::SERVICE_BYPASSES_SIDECAR),
        (&second, service("chat", &[], &["also"]), reason::SERVICE_BYPASSES_SIDECAR),
        (&host, service("chat", &[], &["http"]), reason::HOST_PORT_BYPASSES_SIDECAR),
        (&plain, headless(8000), reason::SERVICE_BYPASSES_SIDECAR),
        (&plain, headless(8790), reason::NO_BYPASS),
        (&plain, service("chat", &[9000], &["http"]), reason::NO_BYPASS),
        (&plain, service("other", &[8000], &[]), reason::NO_BYPASS),
    ] {
        let pod = pod(app.clone());
        let found = found(Placement::Proxy, &pod, None, std::slice::from_ref(&service));
        assert_eq!(found.reason, expected, "{app:?} {service:?}");
        let none = found.status == ConditionStatus::False;
        assert_eq!(none, expected == reason::NO_BYPASS);
    }
}

#[test]
fn issue_15_20_a_front_container_with_a_service_of_its_own_is_a_way_past() {
    let port = |container: &str, number, name: Option<&str>| Port {
        container: container.into(),
        number,
        name: name.map(Into::into),
    };
    let mut pod = pod(plain());
    pod.app.ports = vec![
        port("queue-proxy", 8012, Some("http1")),
        port("model", 8000, None),
        port("model", 8001, Some("metrics")),
    ];
    let sidecars = || service("chat", &[], &["llm"]);
    let elsewhere = ServiceView { leads_elsewhere: true, ..service("chat", &[8012], &[]) };
    for (services, expected) in [
        (vec![service("chat", &[8012], &[])], reason::FRONT_BYPASSES_SIDECAR),
        (vec![service("chat", &[], &["http1"])], reason::FRONT_BYPASSES_SIDECAR),
        // Beside one that leads to the sidecar, too; and by a number that nobody declares.
        (vec![sidecars(), service("chat", &[8012], &[])], reason::FRONT_BYPASSES_SIDECAR),
        (vec![service("chat", &[9999], &[])], reason::FRONT_BYPASSES_SIDECAR),
        (vec![sidecars()], reason::NO_BYPASS),
        (vec![service("chat", &[8790], &[])], reason::NO_BYPASS),
        (vec![service("chat", &[8001], &[])], reason::NO_BYPASS),
        (vec![service("chat", &[8012], &["llm"])], reason::NO_BYPASS),
        (vec![service("other", &[8012], &[])], reason::NO_BYPASS),
        (vec![elsewhere], reason::NO_BYPASS),
    ] {
        let found = found(Placement::Proxy, &pod, None, &services);
        assert_eq!(found.reason, expected, "{services:?}: {}", found.message);
    }
}

#[test]
fn issue_15_20_connections_past_the_sidecar_are_a_way_past() {
    let pod = pod(plain());
    let mut report = report("chat-1", &[]);
    let of = |report: &PodCounts| found(Placement::Proxy, &pod, Some(report), &[]).reason;
    assert_eq!(of(&report), reason::NO_BYPASS);
    report.connections = Connections { app: 40, past_sidecar: 0 };
    assert_eq!(of(&report), reason::NO_BYPASS, "the app's other ports are its own matter");
    report.connections.past_sidecar = 1;
    assert_eq!(of(&report), reason::CONNECTIONS_BYPASS_SIDECAR);
}

/// The sidecar counts what the plugin tells it of among its connections.
#[test]
fn requests_that_vllm_answered_past_the_sidecar_are_a_way_past() {
    let pod = pod(plain());
    let mut report = report("chat-1", &[]);
    let of = |report: &PodCounts| found(Placement::Engine, &pod, Some(report), &[]);
    assert_eq!(of(&report).reason, reason::NO_BYPASS);
    report.connections.past_sidecar = 3;
    let bypass = of(&report);
    assert_eq!(bypass.reason, reason::CONNECTIONS_BYPASS_SIDECAR);
    assert!(bypass.message.contains("requests that vLLM answered"), "{}", bypass.message);
    let service = service("chat", &[8000], &[]);
    let found = found(Placement::Engine, &pod, None, &[service]);
    assert_eq!(found.reason, reason::SERVICE_BYPASSES_SIDECAR);
}

#[test]
fn issue_15_20_an_app_that_never_meets_its_sidecar_is_a_condition() {
    let serve =
        |pod: &PodView, report: &PodCounts| found(Placement::Serve, pod, Some(report), &[]).reason;
    let mut pod = PodView { app_port: None, ..pod(plain()) };
    let mut report = report("chat-1", &[]);
    assert_eq!(serve(&pod, &report), reason::NO_BYPASS);
    report.connections.app = 4;
    assert_eq!(serve(&pod, &report), reason::NO_BYPASS);
    report.connections.app = 5;
    assert_eq!(serve(&pod, &report), reason::SIDECAR_UNUSED);
    report.totals.responses = 1;
    assert_eq!(serve(&pod, &report), reason::NO_BYPASS);
    pod.app.nobody_told = Some("web".into());
    assert_eq!(serve(&pod, &report), reason::APP_USES_ANOTHER_SERVER);
    pod.app.nobody_told = None;
    pod.app.own_server = Some(OwnServer { container: "app".into(), by: "OPENAI_API_BASE".into() });
    assert_eq!(serve(&pod, &report), reason::APP_USES_ANOTHER_SERVER);
    pod.sidecar = None;
    assert_eq!(serve(&pod, &report), reason::NO_BYPASS, "it is told as a pod without a sidecar");
}
