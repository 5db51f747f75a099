use super::*;

#[test]
fn each_refusal_has_its_condition_reason() {
    let vector = || "evil".to_owned();
    let other_model = Refusal::OtherModel {
        vector: vector(),
        extracted_from: String::new(),
        served: String::new(),
    };
    for (refusal, reason) in [
        (other_model, "ModelMismatch"),
        (Refusal::LayerMissing { vector: vector(), layer: 5, layers: 4 }, "LayerMissing"),
        (Refusal::VectorMissing { vector: vector() }, "VectorNotFound"),
        (Refusal::ValuesMissing { vector: vector() }, "ArtifactNotFound"),
        (Refusal::ValuesChanged { vector: vector() }, "DigestMismatch"),
        (Refusal::WrongWidth { vector: vector(), width: 3, hidden: 2 }, "ModelMismatch"),
        (Refusal::Unusable { vector: vector() }, "ArtifactInvalid"),
        (Refusal::TooManyChanges { limit: 128 }, "ActionIncomplete"),
        (Refusal::ConditionTooLate { vector: vector() }, "ActionIncomplete"),
    ] {
        assert_eq!(of_refusal(&refusal), reason, "{refusal}");
    }
}
