//! How answers are generated.

use personaguard_model::{GenerateRequest, Sampling};
use sha2::{Digest as _, Sha256};

/// How an answer is generated.
#[derive(Clone, Copy, Debug)]
pub struct GenerationSettings {
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Seed of sampling.
    pub seed: u64,
}

impl GenerationSettings {
    /// Greedy generation.
    pub(crate) fn greedy(max_tokens: usize) -> Self {
        Self { max_tokens, temperature: 0.0, seed: 0 }
    }

    /// A request to our own engine.
    pub(super) fn request(self, prompt: Vec<u32>) -> GenerateRequest {
        GenerateRequest {
            prompt,
            max_tokens: self.max_tokens,
            sampling: Sampling {
                temperature: self.temperature,
                seed: Some(self.seed),
                ..Sampling::default()
            },
            ..GenerateRequest::default()
        }
    }
}

/// The seed of one request, derived from its name. Each request has a random stream of its own, so
/// the order in which requests run does not matter.
pub(crate) fn request_seed(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{name}"));
    digest.first_chunk::<8>().map_or(seed, |bytes| u64::from_le_bytes(*bytes))
}
