//! Whether a request fits the model.

use super::error::SubmitError;
use super::request::{GenerateRequest, Sampling, ScoreRequest};
use crate::model::Model;
use crate::residual::{Intervention, Tap};

/// Most taps, and most interventions, of one request.
const MAX_VECTORS: usize = 256;
/// Most alternatives reported with a token.
const MAX_TOP_LOGPROBS: usize = 20;

/// What a request must fit.
pub(super) struct Limits<'a> {
    pub(super) model: &'a Model,
    pub(super) context_length: usize,
}

impl Limits<'_> {
    pub(super) fn check_generate(&self, request: &GenerateRequest) -> Result<(), SubmitError> {
        check_sampling(&request.sampling)?;
        self.check_bias(&request.sampling.logit_bias)?;
        if request.top_logprobs > MAX_TOP_LOGPROBS {
            return Err(parameter("top_logprobs", "must be at most 20"));
        }
        self.check_prompt(&request.prompt, request.max_tokens.min(1))?;
        self.check_vectors(&request.taps, &request.interventions)
    }

    pub(super) fn check_score(&self, request: &ScoreRequest) -> Result<(), SubmitError> {
        self.check_prompt(&request.prompt, request.response.len())?;
        self.check_vectors(&request.taps, &request.interventions)?;
        self.check_tokens(&request.response)
    }

    /// `response_tokens` is how many tokens follow the prompt at least.
    fn check_prompt(&self, prompt: &[u32], response_tokens: usize) -> Result<(), SubmitError> {
        if prompt.is_empty() {
            return Err(SubmitError::EmptyPrompt);
        }
        let tokens = prompt.len().saturating_add(response_tokens);
        if tokens > self.context_length {
            let context_length = self.context_length;
            return Err(SubmitError::ContextTooLong { tokens, context_length });
        }
        self.check_tokens(prompt)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), SubmitError> {
        let vocab_size = self.model.vocab_size();
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(&token) => Err(SubmitError::UnknownToken { token, vocab_size }),
            None => Ok(()),
        }
    }

    fn check_bias(&self, bias: &[(u32, f32)]) -> Result<(), SubmitError> {
        let vocab_size = self.model.vocab_size();
        if bias.iter().any(|&(token, _)| token as usize >= vocab_size) {
            return Err(parameter("logit_bias", "must name tokens that the model has"));
        }
        if bias.iter().any(|&(_, bias)| bias.is_nan() || bias == f32::INFINITY) {
            return Err(parameter("logit_bias", "must be numbers"));
        }
        Ok(())
    }

    fn check_vectors(
        &self,
        taps: &[Tap],
        interventions: &[Intervention],
    ) -> Result<(), SubmitError> {
        if taps.len() > MAX_VECTORS || interventions.len() > MAX_VECTORS {
            return Err(parameter("vectors", "must be at most 256 for one request"));
        }
        let is_gate_read_in_time = |intervention: &Intervention| {
            intervention.gate.is_none_or(|gate| {
                taps.get(gate.tap).is_some_and(|tap| tap.layer() <= intervention.layer)
                    && gate.until <= gate.above
            })
        };
        if !interventions.iter().all(is_gate_read_in_time) {
            return Err(parameter(
                "interventions",
                "must be gated by a tap of the request at a layer not above their own",
            ));
        }
        let taps = taps.iter().map(|tap| (tap.layer(), tap.direction().len()));
        let changes = interventions
            .iter()
            .map(|intervention| (intervention.layer, intervention.change.width()));
        let (layers, hidden_size) = (self.model.layers(), self.model.hidden_size());
        for (layer, found) in taps.chain(changes) {
            if layer > layers {
                return Err(SubmitError::InvalidLayer { layer, layers });
            }
            if found != hidden_size {
                return Err(SubmitError::InvalidWidth { found, hidden_size });
            }
        }
        Ok(())
    }
}

fn check_sampling(sampling: &Sampling) -> Result<(), SubmitError> {
    if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
        return Err(parameter("temperature", "must be a number of at least 0"));
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return Err(parameter("top_p", "must be above 0 and at most 1"));
    }
    if sampling.top_k == Some(0) {
        return Err(parameter("top_k", "must be at least 1"));
    }
    if !(0.0..=1.0).contains(&sampling.min_p) {
        return Err(parameter("min_p", "must be from 0 to 1"));
    }
    if !(sampling.presence_penalty.is_finite() && sampling.presence_penalty.abs() <= 2.0) {
        return Err(parameter("presence_penalty", "must be from -2 to 2"));
    }
    if !(sampling.frequency_penalty.is_finite() && sampling.frequency_penalty.abs() <= 2.0) {
        return Err(parameter("frequency_penalty", "must be from -2 to 2"));
    }
    if !(sampling.repetition_penalty > 0.0 && sampling.repetition_penalty.is_finite()) {
        return Err(parameter("repetition_penalty", "must be above 0"));
    }
    Ok(())
}

fn parameter(name: &'static str, message: &'static str) -> SubmitError {
    SubmitError::Parameter { name, message }
}
