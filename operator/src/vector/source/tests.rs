use super::*;
use crate::fixtures::model;
use personaguard_api::ModelEngine;

#[test]
fn a_vector_for_vllms_weights_is_imported_not_extracted() {
    let mut vllm = model();
    (vllm.spec.engine, vllm.spec.source) = (ModelEngine::Vllm, None);
    let mut vector: PersonaVector = serde_json::from_value(json!({
        "apiVersion": personaguard_api::API_VERSION, "kind": "PersonaVector",
        "metadata": { "name": "evil" }, "spec": { "trait": "evil", "model": "smollm2" }
    }))
    .unwrap();
    let of = |vector: &PersonaVector, model: &PersonaModel| source(vector, Some(model), "system");
    assert!(of(&vector, &model()).is_ok());
    let refused = of(&vector, &vllm).unwrap_err();
    assert_eq!(refused.reason, reason::MODEL_RUN_BY_VLLM);
    assert!(refused.message.contains("personaguard extract --engine"), "{}", refused.message);
    vector.spec.artifact =
        serde_json::from_value(json!({ "configMap": { "name": "evil", "key": "evil" } })).unwrap();
    vector.spec.sha256 = Some(Digest::of(b"file"));
    assert!(matches!(of(&vector, &vllm), Ok((_, Expected::Imported(_)))));
}
