//! Refusing an adapter.

use crate::error::LoadError;

/// What to do with an adapter that cannot be added.
pub(super) const MERGE: &str = "merge it into the base model with PEFT's merge_and_unload";

/// The error for an adapter that this engine cannot add.
pub(super) fn unsupported(what: impl std::fmt::Display) -> LoadError {
    LoadError::unsupported(format!("the adapter: {what}"))
}
