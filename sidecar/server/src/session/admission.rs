//! Whether a request may be answered, and under which decision.

use crate::host::{Host, ModelState, Serving};
use crate::http::ApiError;
use personaguard_guard::{Beyond, Decision, Demands};
use personaguard_persona::sha256_hex;
use serde_json::Value;
use std::sync::Arc;

/// Why nothing is served yet.
pub(crate) fn not_ready(host: &Host) -> ApiError {
    let state = host.state();
    match &state.model {
        ModelState::Failed(failure) => ApiError::unavailable(
            "model_failed",
            format!("The model cannot be served ({}): {}", failure.reason, failure.message),
        ),
        _ => ApiError::unavailable(
            "model_not_ready",
            "The model is being loaded. Try again shortly.",
        ),
    }
}

/// The response's state machine, under the policies that look at it and what the request asks for
/// beyond them.
pub(crate) fn decide(
    host: &Host,
    serving: &Serving,
    demands: &Demands,
) -> Result<Decision, ApiError> {
    let mut plan = Arc::clone(&serving.plan);
    if !demands.is_empty() {
        let demanded = plan.with(demands);
        host.metrics.request_control(demanded.is_ok());
        plan = Arc::new(demanded.map_err(|beyond| match beyond {
            Beyond::Unknown(_) => {
                ApiError::invalid("personaguard.traits", "invalid_value", beyond.to_string())
            }
            _ => ApiError::beyond(beyond.to_string()),
        })?);
    }
    let level = serving.back_off.level();
    if level > 0 && !plan.steering.is_empty() {
        plan = Arc::new(plan.held_back(level));
    }
    let sampled = serving.draw.next(&plan);
    let rests = !sampled.is_empty() && !sampled.contains(&true);
    Ok(Decision::sampled(if rests { Arc::clone(&serving.resting) } else { plan }, sampled))
}

/// What a system prompt is known by in statistics: the first digits of its SHA-256, as
/// `personaguard calibrate` shows it, or `none`.
pub(crate) fn system_prompt(messages: &[Value]) -> Arc<str> {
    let texts = messages.iter().filter(|message| message["role"] == "system");
    let texts: Vec<_> = texts.filter_map(|message| message["content"].as_str()).collect();
    let text = texts.join("\n");
    if text.is_empty() { "none".into() } else { sha256_hex(text.as_bytes())[..12].into() }
}
