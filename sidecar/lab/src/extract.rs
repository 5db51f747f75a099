//! Extraction: asks a model a trait's questions, and turns its activations into a vector file.
//!
//! There are four passes, each batched through the engine: contrasted answers to the extraction
//! questions (which make the vector), steering with it (which chooses the layer), contrasted
//! answers to the held-out questions (which validate it), and benign requests under neutral system
//! prompts (which calibrate it). The held-out questions come after the choice of the layer and
//! affect nothing but the validation.

mod answers;
mod command;
mod delivery;
mod filter;
mod job;
mod journal;
mod judge;
mod layer_trial;
mod parts;
mod plan;
mod request;
mod run;
mod sampling;
mod scored_answer;
mod settings;
mod shard_run;
mod states;
mod steering_effect;
mod summary;
mod trait_generator;
mod trait_source;

pub use command::{Extracted, Extraction, extract};
pub use delivery::Delivery;
pub use job::Job;
pub use judge::Judge;
pub use layer_trial::DoseResponses;
pub use run::{Outcome, run};
pub use settings::ExtractSettings;
pub use shard_run::run_shard;
pub use trait_generator::TraitGenerator;
pub use trait_source::TraitSource;
