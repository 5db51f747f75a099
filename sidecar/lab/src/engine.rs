//! The engine, and what the lab asks of it.

mod batch;
mod generate;
mod project;
mod prompt;
mod score;
mod start;

pub(crate) use batch::{IN_FLIGHT, run_in_order};
pub use generate::GenerationSettings;
pub(crate) use generate::{
    ProjectedAnswer, generate, generate_projected, generate_with_states, request_seed,
};
pub(crate) use project::{Projections, best_layer_probes, project, project_token_by_token};
pub(crate) use prompt::{conversation_prompt, keep_accepted, messages_prompt, single_turn_prompt};
pub(crate) use score::{log_likelihood, mean_states};
pub use start::{EngineSettings, start_adapted_engine, start_engine};
