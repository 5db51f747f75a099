//! The engine, and what the lab asks of it: our own, or vLLM with our plugin.

mod batch;
mod generate;
mod generation_settings;
mod lab_engine;
mod probe;
mod project;
mod prompt;
mod score;
mod start;
mod steering;
mod vllm;

pub(crate) use batch::{IN_FLIGHT, run_in_order};
pub(crate) use generate::{ProjectedAnswer, generate, generate_projected, generate_with_states};
pub use generation_settings::GenerationSettings;
pub(crate) use generation_settings::request_seed;
pub use lab_engine::LabEngine;
pub(crate) use probe::{Probe, best_layer_probes};
pub(crate) use project::{Projections, project, project_token_by_token};
pub(crate) use prompt::{conversation_prompt, keep_accepted, messages_prompt, single_turn_prompt};
pub(crate) use score::{log_likelihood, mean_states};
pub use start::{EngineSettings, EngineSource, start, start_own};
pub(crate) use steering::Steering;
pub use vllm::VllmSettings;
