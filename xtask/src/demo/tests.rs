use super::*;

#[test]
fn every_placeholder_of_the_demo_files_is_filled() {
    let names = ["REGISTRY", "MODEL_SHA256", "EVIL_SHA256", "SYCOPHANTIC_SHA256"];
    let values: BTreeMap<&str, String> =
        names.into_iter().map(|name| (name, "x".to_owned())).collect();
    for file in ["chat.yaml", "model.yaml", "vectors.yaml", "policy.yaml"] {
        let text =
            std::fs::read_to_string(workspace::root().join("tests/demo").join(file)).expect(file);
        assert!(!fill(&text, &values).expect(file).contains('$'));
    }
    assert!(fill("a: ${OTHER}", &values).is_err());
}
