use super::*;
use crate::fixtures::model;
use personaguard_api::ModelEngine;

#[test]
fn a_vector_for_vllms_weights_is_imported_unless_the_model_says_how_jobs_start_vllm() {
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
    for todo in ["add spec.vllm", "personaguard extract --engine"] {
        assert!(refused.message.contains(todo), "{}", refused.message);
    }
    let mut deployed = vllm.clone();
    deployed.spec.vllm = Some(serde_json::from_value(json!({ "image": "vllm:1" })).unwrap());
    let Ok((_, Expected::Extracted(first))) = of(&vector, &deployed) else { panic!("no Job") };
    // How the same files are served changes the vector, where it runs does not.
    let mut other = deployed.clone();
    other.spec.vllm.as_mut().unwrap().args.push("--quantization=fp8".to_owned());
    assert_ne!(extraction_digest(&vector, &other), first);
    let server = deployed.spec.vllm.as_mut().unwrap();
    server.node_selector.insert("gpu".to_owned(), "h200".to_owned());
    assert_eq!(extraction_digest(&vector, &deployed), first);
    vector.spec.artifact =
        serde_json::from_value(json!({ "configMap": { "name": "evil", "key": "evil" } })).unwrap();
    vector.spec.sha256 = Some(Digest::of(b"file"));
    assert!(matches!(of(&vector, &vllm), Ok((_, Expected::Imported(_)))));
}
