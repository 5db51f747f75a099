//! The plan of one request, as it travels in the request itself.

use serde::Serialize;

/// What is measured of a request, and changed in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RequestPlan<'a> {
    /// How the plugin calls it.
    pub(crate) id: &'a str,
    /// The number of the vectors, as text.
    pub(crate) set: String,
    pub(crate) changes: &'a [Change],
    /// Where the response begins, if that is before the end of the request's own prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<usize>,
}

/// A change of the residual stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) slot: usize,
    #[serde(flatten)]
    pub(crate) effect: Effect,
    pub(crate) positions: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<When>,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Effect {
    /// Adds the vector times this.
    Add { add: f32 },
    /// Keeps the projection between these.
    Keep { low: Option<f32>, high: Option<f32> },
}

/// The condition of a change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct When {
    pub(crate) slot: usize,
    pub(crate) at: &'static str,
    pub(crate) above: f32,
}

impl RequestPlan<'_> {
    pub(crate) fn text(&self) -> String {
        // Numbers, names and lists are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
