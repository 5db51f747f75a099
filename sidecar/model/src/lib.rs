//! Language-model engine with its activations open.
//!
//! [`Model::load`] reads weights, tokenizer and chat template; [`Engine::start`] runs the model on
//! its own thread, and serves any number of requests by continuous batching. While it
//! generates, the engine projects the residual stream on each request's [`Tap`]s and applies its
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
//! let request = GenerateRequest { prompt, max_tokens: 64, ..Default::default() };
//! let mut generation = engine.submit(request)?;
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
//! ℓ (1-based), so a model of L blocks has layers 0..=L. A tap reads *before* an intervention at
//! the same layer writes.
//!
//! # Modules
//! Imports run one way, from the bottom up: `error`, `tensor` · `pool`, `kernel` · `config`, `arch`
//! · `load` · `weights`, `tokenizer` · `chat`, `grammar`, `residual`, `kv` · `decoder` · `model` ·
//! `engine`.

mod arch;
mod chat;
mod config;
mod decoder;
mod engine;
mod error;
mod grammar;
mod kernel;
mod kv;
mod load;
mod model;
mod pool;
mod quoted;
mod residual;
mod tensor;
mod tokenizer;
mod weights;

pub use arch::architectures;
pub use chat::{ChatOptions, TOOL_CALL_END, TOOL_CALL_START, TemplateError, ToolCallFormat};
pub use engine::{
    Capture, End, Engine, EngineError, EngineOptions, Event, FinishReason, GenerateRequest,
    Generation, Prefill, Sampling, Score, ScoreError, ScoreRequest, StartError, SubmitError, Token,
    TokenProbability,
};
pub use error::LoadError;
pub use grammar::{CallMode, Callable, Grammar, GrammarError, MAX_SCHEMA_BYTES, TextForm};
pub use load::foreign_file;
pub use model::{Device, LoadOptions, Model, digest_of};
pub use residual::{Gate, GatePosition, Intervention, MeanStates, Positions, Tap, VectorError};
pub use tokenizer::{DecodeStream, Tokenizer};

// The tiny models of the integration tests, for tests that need what is private here.
#[cfg(test)]
extern crate self as personaguard_model;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
#[allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic, reason = "tests")]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "tests")]
mod support;
