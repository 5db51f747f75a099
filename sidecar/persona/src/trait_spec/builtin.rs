//! The built-in traits.

use super::error::TraitSpecError;
use super::spec::TraitSpec;

/// Trait files by the trait's name.
const FILES: &[(&str, &str)] = &[
    ("evil", include_str!("../../traits/evil.yaml")),
    ("sycophantic", include_str!("../../traits/sycophantic.yaml")),
    ("hallucinating", include_str!("../../traits/hallucinating.yaml")),
    ("optimistic", include_str!("../../traits/optimistic.yaml")),
    ("impolite", include_str!("../../traits/impolite.yaml")),
    ("apathetic", include_str!("../../traits/apathetic.yaml")),
    ("humorous", include_str!("../../traits/humorous.yaml")),
];

impl TraitSpec {
    /// A built-in trait.
    ///
    /// # Errors
    /// If there is none of this name; the message lists the names.
    pub fn builtin(name: &str) -> Result<Self, TraitSpecError> {
        let (_, file) = FILES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known = Self::builtin_names().join(", ");
            TraitSpecError::Unknown { name: name.to_owned(), known }
        })?;
        Self::parse(file)
    }

    /// Names of the built-in traits.
    #[must_use]
    pub fn builtin_names() -> Vec<&'static str> {
        FILES.iter().map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests;
