//! Language-model engine with its activations open.
//!
//! [`Model::load`] reads weights, tokenizer and chat template; [`Engine::start`] runs the model on
//! a thread of its own and serves any number of requests by continuous batching. While it
//! generates, the engine projects the residual stream on each request's [`Probe`]s and applies its
//! [`Intervention`]s.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use personaguard_model::{Engine, EngineOptions, Event, GenerateRequest, LoadOptions, Model};
//! use std::{path::Path, sync::Arc};
//!
//! let model = Arc::new(Model::load(Path::new("model.gguf"), &LoadOptions::default())?);
//! let engine = Engine::start(model.clone(), EngineOptions::default())?;
//! let messages = [serde_json::json!({"role": "user", "content": "Hello!"})];
//! let prompt = model.chat_prompt(&messages, &Default::default())?;
//! let mut generation = engine.submit(GenerateRequest { prompt, max_tokens: 64, ..Default::default() })?;
//! while let Some(event) = generation.next().await {
//!     if let Event::Token(token) = event {
//!         print!("{}", token.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//! Layer numbers are the project's: 0 is the embedding output, ℓ is the residual stream after block
//! ℓ (1-based), so a model of L blocks has layers 0..=L. A probe reads *before* an intervention at
//! the same layer writes.

mod config;
mod decoder;
mod engine;
mod gguf;
mod kernel;
mod kv;
mod model;
mod on_disk;
mod pool;
mod template;
mod tensor;
mod tokenizer;
mod tools;
mod weights;

pub use engine::event::{
    End, EngineError, Event, FinishReason, Generation, PromptRead, Token, TokenProbability,
};
pub use engine::grammar::calls::{Around, Callable};
pub use engine::grammar::{Grammar, GrammarError, MAX_SCHEMA_BYTES};
pub use engine::request::{
    Capture, Gate, GateAt, GenerateRequest, Intervention, Positions, Probe, Sampling, ScoreRequest,
    VectorError,
};
pub use engine::score::{MeanStates, Score, ScoreError};
pub use engine::{Engine, EngineOptions, StartError, SubmitError};
pub use model::{Device, LoadError, LoadOptions, Model};
pub use template::{ChatOptions, TemplateError};
pub use tokenizer::{TextStream, Tokenizer};
pub use tools::{CALL_BEGIN, CALL_END, CallForm};

// The tiny models of the integration tests, for tests that need what is private here.
#[cfg(test)]
extern crate self as personaguard_model;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
#[allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic, reason = "tests")]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "tests")]
mod support;
