use super::*;
use kube::core::ObjectList;
use personaguard_api::{PersonaModel, PersonaPolicy};
use serde_json::json;

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": {"name": "a", "namespace": "support", "uid": "u", "resourceVersion": "7"},
        "spec": spec, "status": {"conditions": []}
    })
}

#[test]
fn item_11_one_object_that_cannot_be_read_keeps_no_other_from_being_read() {
    let good = json!({
        "mode": "Audit", "selector": {}, "model": "m", "traits": [{"vector": "evil",
        "action": "Audit"}]
    });
    let mut newer = good.clone();
    newer["future"] = json!(true);
    let broken = [newer, json!("text"), json!(null), json!({"model": 7})];
    for spec in broken {
        let list = json!({
            "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicyList",
            "metadata": {}, "items": [policy(&spec), policy(&good)]
        });
        // As the client parses it.
        let text = list.to_string();
        let list: ObjectList<Readable<PersonaPolicy>> = serde_json::from_str(&text).unwrap();
        let Readable::Unreadable(unreadable) = &list.items[0] else { panic!("{spec} was read") };
        assert_eq!(unreadable.metadata.name.as_deref(), Some("a"));
        assert_eq!(
            (unreadable.uid(), list.items[0].meta().resource_version.as_deref()),
            ("u", Some("7"))
        );
        assert!(!unreadable.error.is_empty());
        assert!(matches!(list.items[1], Readable::Read(_)));
    }
}

#[test]
fn metadata_that_do_not_parse_still_name_the_object() {
    let raw = json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaModel",
        "metadata": {"name": "m", "uid": "u", "resourceVersion": "9", "labels": 3}, "spec": {}
    });
    let object: Readable<PersonaModel> = serde_json::from_value(raw).unwrap();
    assert!(matches!(object, Readable::Unreadable(_)));
    let meta = object.meta();
    assert_eq!((meta.name.as_deref(), meta.resource_version.as_deref()), (Some("m"), Some("9")));
}
