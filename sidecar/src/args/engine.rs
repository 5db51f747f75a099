//! Options of the engine.

use clap::Args;
use personaguard_lab::engine::{EngineSettings, EngineSource, VllmSettings};
use std::path::PathBuf;
use std::time::Duration;

/// Options of our own engine.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Threads that compute. Default: as many as the process may use.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Longest conversation in tokens; longer ones are refused.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    context_length: usize,
}

/// Options of a vLLM with the plugin, in place of our own engine.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "vLLM")]
pub(crate) struct VllmArgs {
    /// URL of a vLLM with the plugin personaguard-vllm, in place of a weight file: activations are
    /// those of the weights as it serves them. Start it with PERSONAGUARD_STATES=1 and
    /// PERSONAGUARD_SOCKET=FILE. Its key, if it has one, is read from PERSONAGUARD_ENGINE_KEY.
    #[arg(long, value_name = "URL", requires = "engine_socket")]
    engine: Option<String>,
    /// Unix socket that its plugin connects to. It must be in a folder that both see, and nobody
    /// else may listen there.
    #[arg(long, value_name = "FILE", requires = "engine")]
    engine_socket: Option<PathBuf>,
    /// Name of the model, or of an adapter, at that vLLM. Default: the first that it lists.
    #[arg(long, value_name = "NAME", requires = "engine")]
    engine_model: Option<String>,
    /// How many seconds to wait until the plugin has connected.
    #[arg(long, value_name = "N", default_value_t = 600)]
    engine_wait: u64,
}

impl From<EngineArgs> for EngineSettings {
    fn from(EngineArgs { threads, context_length }: EngineArgs) -> Self {
        Self { threads, context_length }
    }
}

impl VllmArgs {
    /// vLLM, if it was asked for.
    pub(crate) fn settings(&self) -> Option<VllmSettings> {
        let (url, socket) = (self.engine.clone()?, self.engine_socket.clone()?);
        let wait = Duration::from_secs(self.engine_wait);
        Some(VllmSettings { url, socket, model: self.engine_model.clone(), wait })
    }

    /// vLLM if it was asked for, or else our own engine with weights.
    ///
    /// # Errors
    /// If neither is given, which the options' own rules exclude.
    pub(crate) fn source(
        &self,
        weights: Option<PathBuf>,
        own: EngineArgs,
    ) -> anyhow::Result<EngineSource> {
        match (self.settings(), weights) {
            (Some(settings), _) => Ok(EngineSource::Vllm(settings)),
            (None, Some(weights)) => {
                Ok(EngineSource::Own { weights, adapter: None, settings: own.into() })
            }
            (None, None) => anyhow::bail!("give a weight file, or --engine and --engine-socket"),
        }
    }
}
