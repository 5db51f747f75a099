//! The files that ship.

const FILES: &[(&str, &str)] = &[
    ("evil", include_str!("../../traits/evil.yaml")),
    ("sycophantic", include_str!("../../traits/sycophantic.yaml")),
    ("hallucinating", include_str!("../../traits/hallucinating.yaml")),
    ("optimistic", include_str!("../../traits/optimistic.yaml")),
    ("impolite", include_str!("../../traits/impolite.yaml")),
    ("apathetic", include_str!("../../traits/apathetic.yaml")),
    ("humorous", include_str!("../../traits/humorous.yaml")),
];

pub(super) const BENIGN: &str = include_str!("../../benign.yaml");

pub(super) fn file(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| *file)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}
