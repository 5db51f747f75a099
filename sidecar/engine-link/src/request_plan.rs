//! The plan of one request, as it travels in the request itself.

use serde::Serialize;

/// What is measured of a request, and changed in it.
#[derive(Clone, Debug, Serialize)]
pub struct RequestPlan<'a> {
    /// How the plugin calls it.
    pub id: &'a str,
    /// The number of the vectors, as text. Without changes, a request for states needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// What is changed, in this order.
    pub changes: &'a [Change],
    /// Where the response begins, if that is before the end of the request's own prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<usize>,
    /// Whether the mean states of its own prompt are wanted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub states: bool,
}

/// A change of the residual stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The vector.
    pub slot: usize,
    /// What becomes of the stream along it.
    #[serde(flatten)]
    pub effect: Effect,
    /// `response`, `prompt` or `all`.
    pub positions: &'static str,
    /// When; always without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Effect {
    /// Adds the vector times this.
    Add {
        /// The coefficient.
        add: f32,
    },
    /// Keeps the projection between these.
    Keep {
        /// The lowest that it may be.
        low: Option<f32>,
        /// The highest.
        high: Option<f32>,
    },
}

/// The condition of a change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct When {
    /// The vector whose projection decides.
    pub slot: usize,
    /// `token` or `prompt_last`.
    pub at: &'static str,
    /// It acts where the projection is above this.
    pub above: f32,
    /// Read at each token, it acts on until the projection is no longer above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f32>,
}

impl RequestPlan<'_> {
    /// As it travels.
    #[must_use]
    pub fn text(&self) -> String {
        // Numbers, names and lists are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
