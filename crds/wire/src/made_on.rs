//! How weights are served: what the digest of their files does not say.

use serde::{Deserialize, Serialize};

/// How the weights were served that a vector was made on, where that was not our own engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeOn {
    /// Name of the engine, such as `vllm`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Version of our plugin in it.
    pub plugin: String,
    /// The numbers that it computes with, such as `bfloat16`.
    pub dtype: String,
    /// How it quantises the weights, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// The adapter that the requests named, as the engine calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}
