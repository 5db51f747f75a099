//! Extraction: drives the engine over a trait's questions and turns what it read into a vector
//! file.
//!
//! Four passes, each batched through the engine: contrasted answers to the extraction questions
//! (the vector), steering with it (the layer), contrasted answers to the held-out questions (the
//! validation), and everyday requests under neutral system prompts (the calibration). The held-out
//! questions are answered last and change nothing but the validation.

mod author;
mod conversations;
mod deliver;
mod endpoint;
mod filter;
mod journal;
mod judge;
mod ladder;
mod measure;
mod open;
mod parts;
mod plan;
mod progress;
mod responder;
mod run;
mod shard;
mod states;
mod steering;
mod study;
mod summary;

pub use author::Author;
pub use conversations::{Conversation, read_conversations};
pub use deliver::{Delivery, DeliveryOptions};
pub use endpoint::Endpoint;
pub use judge::Judge;
pub use ladder::{Ladder, Step};
pub use measure::{
    Projections, contrasted_prompts, for_each, gauge_probes, likelihood_ratio, own_answer, project,
    prompt_tokens, read_gauges, states,
};
pub use open::{
    Machine, OpenVector, check_model, read_file, read_text, read_vectors, specs_of, start_adapted,
    start_engine, write_file,
};
pub use plan::{Settings, answers};
pub use responder::Answering;
pub use run::{Job, Outcome, check, run, run_shard};
pub use shard::Shard;
pub use states::{Tensor, write_tensors};
pub use steering::SteeringCurve;
pub use study::{StudySettings, TraitStudy, study};
pub use summary::summary;
