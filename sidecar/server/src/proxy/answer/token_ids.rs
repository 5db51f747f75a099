//! Tokens of a text, as the upstream server gives them.

use serde_json::Value;

/// The field `token_ids` of a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::proxy) enum TokenIds {
    /// There is no such field: the server may not know it.
    #[default]
    Unknown,
    /// The server knows the field, and was not asked for it.
    Absent,
    /// Tokens of what a payload adds.
    Given(Vec<u32>),
}

impl TokenIds {
    /// Reads the field. It never leaves.
    pub(super) fn read(value: &Value) -> Self {
        let ids = value.as_array().and_then(|ids| {
            ids.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect::<Option<Vec<_>>>()
        });
        ids.map_or(Self::Absent, Self::Given)
    }
}
