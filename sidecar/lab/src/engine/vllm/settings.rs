//! Which vLLM is asked.

use std::path::PathBuf;
use std::time::Duration;

/// Which vLLM is asked.
#[derive(Clone, Debug)]
pub struct VllmSettings {
    /// Its URL, with or without `/v1` at its end.
    pub url: String,
    /// The socket that its plugin connects to.
    pub socket: PathBuf,
    /// Name of the model or adapter there; by default the first that it lists.
    pub model: Option<String>,
    /// Longest wait for the plugin.
    pub wait: Duration,
}
