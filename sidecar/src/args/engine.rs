//! Options of the engine.

use clap::Args;
use personaguard_lab::engine::EngineSettings;

/// Options of the engine.
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

impl From<EngineArgs> for EngineSettings {
    fn from(EngineArgs { threads, context_length }: EngineArgs) -> Self {
        Self { threads, context_length }
    }
}
