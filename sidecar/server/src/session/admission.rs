//! Whether a request may be answered, and under which decision.

use crate::http::ApiError;
use crate::runtime::{AppState, InForce, ModelState};
use crate::telemetry::labels::OverrideResult;
use personaguard_guard::{Decision, OverrideError, Overrides};
use personaguard_persona::sha256_hex;
use serde_json::Value;
use std::sync::Arc;

/// Why nothing is served yet.
pub(crate) fn not_ready(app: &AppState) -> ApiError {
    let state = app.snapshot();
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

/// How a response is decided on: by the policies that sample it, and the overrides of the request.
pub(crate) fn decide(
    app: &AppState,
    active: &InForce,
    overrides: &Overrides,
) -> Result<Decision, ApiError> {
    if active.plan.fails_closed() && app.logs.is_audit_failing() {
        return Err(ApiError::unrecorded());
    }
    let mut plan = Arc::clone(&active.plan);
    if !overrides.is_empty() {
        let overridden = plan.with_overrides(overrides);
        app.metrics.responses.count_override(match overridden {
            Ok(_) => OverrideResult::Applied,
            Err(_) => OverrideResult::Refused,
        });
        plan = Arc::new(overridden.map_err(|error| match error {
            OverrideError::UnknownTrait(_) => {
                ApiError::invalid("personaguard.traits", "invalid_value", error.to_string())
            }
            _ => ApiError::beyond_policy(error.to_string()),
        })?);
    }
    let level = active.back_off.level();
    if level > 0 && !plan.steering.is_empty() {
        plan = Arc::new(plan.backed_off(level));
    }
    let sampled = active.sampler.sample(&plan);
    if !sampled.is_empty() && !sampled.contains(&true) {
        plan = Arc::clone(&active.unsampled_plan);
    }
    Ok(Decision::sampled(plan, sampled))
}

/// The key of a system prompt in statistics: the first digits of its SHA-256, as `personaguard
/// calibrate` shows it, or `none`.
pub(crate) fn system_prompt_key(messages: &[Value]) -> Arc<str> {
    let texts = messages.iter().filter(|message| message["role"] == "system");
    let texts: Vec<_> = texts.filter_map(|message| message["content"].as_str()).collect();
    let text = texts.join("\n");
    if text.is_empty() { "none".into() } else { sha256_hex(text.as_bytes())[..12].into() }
}
