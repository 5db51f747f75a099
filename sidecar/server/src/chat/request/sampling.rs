//! How tokens are sampled.

use crate::http::ApiError;
use crate::openai::{ChatBody, Integer, integer, invalid, number};
use personaguard_model::Sampling;
use serde_json::Value;
use std::ops::RangeInclusive;

/// The hottest temperature: beyond it nothing changes.
const MAX_TEMPERATURE: f64 = 1e6;
/// Tokens with a bias at most.
const MAX_BIASES: usize = 1024;
/// Largest bias, as in OpenAI's API.
const BIAS: f64 = 100.0;
/// Tokens at most that end a response besides the model's own.
const MAX_STOP_TOKENS: usize = 128;

pub(super) fn check(body: &ChatBody) -> Result<Sampling, ApiError> {
    // 0 and −1 mean that all tokens are kept, as in llama.cpp and vLLM.
    let top_k = integer("top_k", body.top_k, -1..=i64::MAX)?.filter(|k| *k > 0);
    let min_tokens = integer("min_tokens", body.min_tokens, 0..=i64::MAX)?.unwrap_or(0);
    Ok(Sampling {
        temperature: temperature(body.temperature)?.unwrap_or(1.0),
        // 0 means the likeliest token alone.
        top_p: single("top_p", body.top_p, 0.0..=1.0)?.unwrap_or(1.0).max(f32::MIN_POSITIVE),
        top_k: top_k.map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
        min_p: single("min_p", body.min_p, 0.0..=1.0)?.unwrap_or(0.0),
        presence_penalty: single("presence_penalty", body.presence_penalty, -2.0..=2.0)?
            .unwrap_or(0.0),
        frequency_penalty: single("frequency_penalty", body.frequency_penalty, -2.0..=2.0)?
            .unwrap_or(0.0),
        repetition_penalty: repetition_penalty(body)?.unwrap_or(1.0),
        logit_bias: body.logit_bias.as_ref().map_or(Ok(Vec::new()), logit_bias)?,
        min_tokens: usize::try_from(min_tokens).unwrap_or(usize::MAX),
        ignore_end: body.ignore_eos.unwrap_or(false),
        stop_tokens: stop_tokens(body.stop_token_ids.as_deref().unwrap_or_default())?,
        // −1 means any, as in llama.cpp and vLLM.
        seed: body.seed.filter(|seed| seed.get() != -1).map(Integer::bits),
    })
}

/// OpenAI's API ends at 2; vLLM and llama.cpp take any.
fn temperature(value: Option<f64>) -> Result<Option<f32>, ApiError> {
    if value.is_some_and(|value| value < 0.0) {
        return Err(invalid("temperature", "Invalid 'temperature': must be at least 0."));
    }
    single("temperature", value.map(|value| value.min(MAX_TEMPERATURE)), 0.0..=MAX_TEMPERATURE)
}

fn repetition_penalty(body: &ChatBody) -> Result<Option<f32>, ApiError> {
    let (name, value) = match (body.repetition_penalty, body.repeat_penalty) {
        (Some(value), _) => ("repetition_penalty", Some(value)),
        (None, Some(_)) if body.repeat_last_n.is_some_and(|last| last.get() == 0) => {
            return Ok(None);
        }
        (None, value) => ("repeat_penalty", value),
    };
    if value.is_some_and(|value| value <= 0.0) {
        return Err(invalid(name, format!("Invalid '{name}': must be above 0.")));
    }
    single(name, value, 0.0..=100.0)
}

/// By the numbers of tokens: OpenAI's object, or llama.cpp's list of pairs.
fn logit_bias(body: &Value) -> Result<Vec<(u32, f32)>, ApiError> {
    let odd = || {
        let message = format!(
            "Invalid 'logit_bias': an object of at most {MAX_BIASES} biases by the numbers of \
             their tokens, which /tokenize tells."
        );
        invalid("logit_bias", message)
    };
    let pair = |token: Option<u32>, bias: &Value| {
        let bias = match bias {
            Value::Bool(false) => f64::NEG_INFINITY,
            bias => bias.as_f64()?.clamp(-BIAS, BIAS),
        };
        #[allow(clippy::cast_possible_truncation, reason = "the range is small")]
        Some((token?, bias as f32))
    };
    let biases: Option<Vec<_>> = match body {
        Value::Object(biases) => {
            biases.iter().map(|(token, bias)| pair(token.parse().ok(), bias)).collect()
        }
        Value::Array(pairs) => {
            let number = |token: &Value| u32::try_from(token.as_u64()?).ok();
            pairs.iter().map(|each| pair(number(each.get(0)?), each.get(1)?)).collect()
        }
        _ => None,
    };
    biases.filter(|biases| biases.len() <= MAX_BIASES).ok_or_else(odd)
}

fn stop_tokens(tokens: &[Integer]) -> Result<Vec<u32>, ApiError> {
    let numbers = tokens.iter().map(|token| u32::try_from(token.get()).ok());
    let numbers: Option<Vec<_>> = numbers.collect();
    numbers.filter(|numbers| numbers.len() <= MAX_STOP_TOKENS).ok_or_else(|| {
        let message =
            format!("Invalid 'stop_token_ids': at most {MAX_STOP_TOKENS} numbers of tokens.");
        invalid("stop_token_ids", message)
    })
}

/// A number in single precision.
#[allow(clippy::cast_possible_truncation, reason = "the ranges are small")]
fn single(
    param: &str,
    value: Option<f64>,
    range: RangeInclusive<f64>,
) -> Result<Option<f32>, ApiError> {
    Ok(number(param, value, range)?.map(|number| number as f32))
}
