use super::concerns_policies;
use personaguard_api::PersonaVector;
use serde_json::{Value, json};

fn vector(status: &Value) -> PersonaVector {
    let vector = json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaVector",
        "metadata": {"name": "evil"}, "spec": {"trait": "evil", "model": "smollm2"},
        "status": status
    });
    serde_json::from_value(vector).unwrap()
}

#[test]
fn how_far_an_extraction_is_concerns_no_policy() {
    let at = |progress: &str| vector(&json!({ "progress": progress }));
    assert!(!concerns_policies(Some(&at("1/548")), Some(&at("2/548"))));
    assert!(!concerns_policies(Some(&vector(&json!({}))), Some(&at("1/548"))));
}

#[test]
fn what_it_has_become_does() {
    let (extracting, done) =
        (vector(&json!({"progress": "548/548"})), vector(&json!({"layer": 15})));
    assert!(concerns_policies(Some(&extracting), Some(&done)));
    assert!(concerns_policies(None, Some(&done)));
    assert!(concerns_policies(Some(&done), None));
    let mut other = done.clone();
    other.spec.model = "another".to_owned();
    assert!(concerns_policies(Some(&done), Some(&other)));
}
