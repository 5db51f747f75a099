//! Which engine runs a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which engine runs a model.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelEngine {
    /// Personaguard's own, in the sidecar.
    #[default]
    Own,
    /// The user's vLLM, with Personaguard's plugin in it.
    Vllm,
}
