use super::*;
use serde_json::json;

fn view(spec: &serde_json::Value) -> Option<ServiceView> {
    ServiceView::of(
        serde_json::from_value(json!({ "metadata": { "name": "chat" }, "spec": spec })).unwrap(),
    )
}

#[test]
fn a_service_targets_ports_by_name_by_number_or_by_its_own_number() {
    let ports = json!([
        {"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8000}, {"port": 8080}
    ]);
    let service = view(&json!({"selector": {"app": "chat"}, "ports": ports})).unwrap();
    assert_eq!(
        (service.target_numbers.as_slice(), service.target_names.as_slice()),
        ([8000, 8080].as_slice(), ["http".to_owned()].as_slice())
    );
    let labels = BTreeMap::from([("app".into(), "chat".into()), ("tier".into(), "a".into())]);
    assert!(service.selects(&labels));
    assert!(!service.selects(&BTreeMap::new()));
}

#[test]
fn the_author_of_a_service_can_say_that_it_leads_elsewhere() {
    let view = |value: &str| {
        let annotations = json!({"personaguard.dev/leads-elsewhere": value});
        let spec = json!({"selector": {"app": "chat"}, "ports": [{"port": 80}]});
        let service = json!({"metadata": {"name": "a", "annotations": annotations}, "spec": spec});
        ServiceView::of(serde_json::from_value(service).unwrap()).unwrap().leads_elsewhere
    };
    assert!(view("true") && !view("false"));
}

#[test]
fn a_service_that_itself_selects_no_pods_is_left_out() {
    assert_eq!(view(&json!({"ports": [{"port": 80}]})), None);
    let external =
        json!({"type": "ExternalName", "externalName": "a.b", "selector": {"app": "chat"}});
    assert_eq!(view(&external), None);
}

#[test]
fn issue_15_20_clients_of_a_headless_service_use_its_own_ports() {
    let ports = json!([{"port": 8000, "targetPort": "http"}]);
    let mut spec = json!({"selector": {"app": "chat"}, "ports": ports});
    assert!(view(&spec).unwrap().headless_ports.is_empty());
    spec["clusterIP"] = json!("None");
    assert_eq!(view(&spec).unwrap().headless_ports, [8000]);
}
