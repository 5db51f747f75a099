use super::*;
use std::collections::BTreeSet;

#[test]
fn every_builtin_trait_is_complete() {
    for name in TraitSpec::builtin_names() {
        let spec = TraitSpec::builtin(name).unwrap();
        assert_eq!(spec.name, name);
        assert_eq!(
            (spec.instructions.len(), spec.extract.len(), spec.held_out.len()),
            (5, 20, 20),
            "{name}"
        );
        let questions: BTreeSet<_> = spec.extract.iter().chain(&spec.held_out).collect();
        assert_eq!(questions.len(), 40, "{name}");
        assert!(spec.rubric.len() > 100 && spec.description.len() > 80, "{name}");
    }
}

#[test]
fn an_unknown_trait_is_answered_with_the_known_ones() {
    let message = TraitSpec::builtin("evli").unwrap_err().to_string();
    assert!(message.contains("evil, ") || message.contains(", evil"), "{message}");
}
