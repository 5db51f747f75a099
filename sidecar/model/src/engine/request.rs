//! What a caller asks of the engine.

use crate::grammar::Grammar;
use crate::residual::{Intervention, Tap};
use std::sync::Arc;

/// A request to continue a prompt.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// Prompt tokens, at least one, from [`crate::Model::chat_prompt`] or
    /// [`crate::Tokenizer::encode`].
    pub prompt: Vec<u32>,
    /// Most tokens to generate. Where the context has room for fewer, that is the limit. With 0 the
    /// prompt is read, and nothing is written.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the response. The one that was found, and what follows it, is not emitted.
    pub stop: Vec<String>,
    /// The format of the response, which ends where nothing can follow. Where it ends for another
    /// reason, it may be only the beginning of a text in this format.
    pub grammar: Option<Grammar>,
    /// Alternatives to report with each token: 0..=20.
    pub top_logprobs: usize,
    /// Where to read the residual stream, at most 256. Every list of projections has their order.
    pub taps: Arc<[Tap]>,
    /// Changes of the residual stream, at most 256, applied in this order within a layer.
    pub interventions: Arc<[Intervention]>,
    /// Whether the end brings mean hidden states of every layer.
    pub capture: Capture,
}

/// A request to read the activations of a given response, in one teacher-forced pass.
#[derive(Clone, Debug, Default)]
pub struct ScoreRequest {
    /// Prompt tokens, at least one.
    pub prompt: Vec<u32>,
    /// Response tokens. May be empty: then only the prompt is read.
    pub response: Vec<u32>,
    /// Where to read the residual stream, at most 256.
    pub taps: Arc<[Tap]>,
    /// Changes of the residual stream, at most 256, applied in this order within a layer.
    pub interventions: Arc<[Intervention]>,
    /// Whether to return mean hidden states of every layer.
    pub capture: Capture,
    /// Whether it gives way to others: it waits until none of them does, leaves them a slot and a
    /// part of the cache, and computes what they leave of each step. For long reading that nobody
    /// waits for.
    pub is_background: bool,
    /// Leaves [`crate::Score::logprobs`] empty, which saves the output matrix's product for each
    /// token.
    pub skip_logprobs: bool,
}

/// Which hidden states a request returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capture {
    /// None: only projections and probabilities.
    #[default]
    None,
    /// Means over the response's tokens at every layer. The prompt's stay empty, so that its prefix
    /// may come from the cache.
    Response,
    /// Means over prompt and response at every layer, and the last prompt token's. Every token is
    /// computed.
    PromptAndResponse,
}

/// How the next token is chosen. The default is greedy: temperature 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token, 1 samples from the model's own distribution. Finite, at least
    /// 0.
    pub temperature: f32,
    /// Keeps the smallest set of likeliest tokens whose probabilities reach this sum, in (0, 1]. 1
    /// keeps all.
    pub top_p: f32,
    /// Keeps this many of the likeliest tokens, at least 1. `None` keeps all.
    pub top_k: Option<usize>,
    /// Keeps tokens at least this fraction as likely as the likeliest, in 0..=1. 0 keeps all.
    pub min_p: f32,
    /// Subtracted from the logit of every token that the response already holds, in -2..=2.
    pub presence_penalty: f32,
    /// Subtracted from a token's logit once for each time the response already holds it, in -2..=2.
    pub frequency_penalty: f32,
    /// Divides the logits above 0 of every token that prompt or response hold, and multiplies those
    /// below (arXiv 1909.05858). Above 0; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Added to the logits of these tokens, before penalties.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens that come before one may end the response, or a stop string may.
    pub min_tokens: usize,
    /// Whether the model's own tokens for that do not end the response.
    pub ignore_end: bool,
    /// Further tokens that end the response.
    pub stop_tokens: Vec<u32>,
    /// Makes sampling repeatable. `None` draws a seed for each request.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: Vec::new(),
            min_tokens: 0,
            ignore_end: false,
            stop_tokens: Vec::new(),
            seed: None,
        }
    }
}
