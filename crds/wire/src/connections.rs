//! What a sidecar sees of its pod's traffic beside its own.

use serde::{Deserialize, Serialize};

/// Connections of the pod that did not pass its sidecar, over the last ten minutes. They are
/// counted once they have lasted for some seconds: what is shorter may be a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connections {
    /// From outside to the app's own containers.
    #[serde(default)]
    pub app: u64,
    /// In placement Proxy: to the port that the sidecar stands in front of, by others than the
    /// sidecar. In placement Engine also requests that reached the model server past it.
    #[serde(default)]
    pub past_sidecar: u64,
}

impl Connections {
    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
