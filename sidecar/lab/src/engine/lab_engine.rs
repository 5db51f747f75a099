//! The engine that runs the model.

use super::vllm::Vllm;
use crate::error::Result;
use personaguard_model::Engine;
use personaguard_persona::{MadeOn, ModelIdentity};

/// The engine that runs the model.
#[derive(Debug)]
pub enum LabEngine {
    /// Ours, with weights that it loaded itself.
    Own(Engine),
    /// A vLLM that runs elsewhere, with our plugin.
    Vllm(Box<Vllm>),
}

impl LabEngine {
    /// Name of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Own(engine) => engine.model().name(),
            Self::Vllm(vllm) => vllm.name(),
        }
    }

    /// Digest of the weights.
    #[must_use]
    pub fn digest(&self) -> &str {
        match self {
            Self::Own(engine) => engine.model().digest(),
            Self::Vllm(vllm) => vllm.digest(),
        }
    }

    /// What vectors are bound to.
    pub(crate) fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: self.name().to_owned(), sha256: self.digest().to_owned() }
    }

    /// How the model is served, where that is not our own engine.
    pub(crate) fn made_on(&self) -> Option<MadeOn> {
        match self {
            Self::Own(_) => None,
            Self::Vllm(vllm) => Some(vllm.made_on()),
        }
    }

    /// Number of blocks.
    pub(crate) fn layers(&self) -> usize {
        match self {
            Self::Own(engine) => engine.model().layers(),
            Self::Vllm(vllm) => vllm.layers(),
        }
    }

    /// Width of the residual stream.
    pub(crate) fn hidden_size(&self) -> usize {
        match self {
            Self::Own(engine) => engine.model().hidden_size(),
            Self::Vllm(vllm) => vllm.hidden_size(),
        }
    }

    /// Longest conversation in tokens.
    pub(crate) fn context_length(&self) -> usize {
        match self {
            Self::Own(engine) => engine.model().context_length(),
            Self::Vllm(vllm) => vllm.context_length(),
        }
    }

    /// A text as tokens.
    ///
    /// # Errors
    /// If vLLM fails.
    pub(crate) async fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Own(engine) => Ok(engine.model().tokenizer().encode(text)),
            Self::Vllm(vllm) => vllm.encode(text).await,
        }
    }

    /// Tokens as a text.
    ///
    /// # Errors
    /// If vLLM fails.
    pub(crate) async fn decode(&self, tokens: &[u32]) -> Result<String> {
        match self {
            Self::Own(engine) => Ok(engine.model().tokenizer().decode(tokens)),
            Self::Vllm(vllm) => vllm.decode(tokens).await,
        }
    }
}
