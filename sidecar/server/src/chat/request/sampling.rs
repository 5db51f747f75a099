//! How tokens are sampled.

use crate::http::ApiError;
use crate::openai::{ChatBody, integer, number};
use personaguard_model::Sampling;
use std::ops::RangeInclusive;

pub(super) fn check(body: &ChatBody) -> Result<Sampling, ApiError> {
    let seed = integer("seed", body.seed, i64::MIN..=i64::MAX)?;
    let top_k = integer("top_k", body.top_k, 1..=i64::MAX)?;
    Ok(Sampling {
        temperature: single("temperature", body.temperature, 0.0..=2.0)?.unwrap_or(1.0),
        // 0 means the likeliest token alone.
        top_p: single("top_p", body.top_p, 0.0..=1.0)?.unwrap_or(1.0).max(f32::MIN_POSITIVE),
        top_k: top_k.map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
        min_p: single("min_p", body.min_p, 0.0..=1.0)?.unwrap_or(0.0),
        presence_penalty: single("presence_penalty", body.presence_penalty, -2.0..=2.0)?
            .unwrap_or(0.0),
        frequency_penalty: single("frequency_penalty", body.frequency_penalty, -2.0..=2.0)?
            .unwrap_or(0.0),
        seed: seed.map(i64::cast_unsigned),
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
