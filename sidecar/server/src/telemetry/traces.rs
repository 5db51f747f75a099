//! Traces over OTLP, by OpenTelemetry's semantic conventions for generative AI. Scores, counts and
//! names only, no text.

use super::labels::Outcome;
use axum::http::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use personaguard_guard::{Decision, Plan, Rule};
use personaguard_ops::traces::Traces;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Target of the spans that are exported. Those of other crates are not.
const TARGET: &str = "personaguard::trace";

/// Traces as the environment says; `endpoint` is a collector's URL that takes precedence over it.
/// Needs a Tokio runtime.
#[must_use]
pub fn from_environment(endpoint: Option<&str>) -> Traces {
    Traces::from_environment("personaguard", endpoint)
}

/// Whether a span is exported.
#[must_use]
pub fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

/// Longest id of a response that is recorded in bytes.
const MAX_ID: usize = 128;

/// Headers of a request, for `traceparent`.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// The span of a chat completion. It is a child of the caller's span if the request carries a W3C
/// `traceparent`.
#[must_use]
pub fn chat_span(model: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "chat",
        otel.name = format!("chat {model}"),
        otel.kind = "server",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "personaguard",
        gen_ai.request.model = model,
    );
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Without an exporter this fails, and nobody would see the parent.
    let _ = span.set_parent(parent);
    span
}

/// Records the id by which the plugin in the engine knows a request.
pub fn record_engine_request(span: &Span, id: &str) {
    span.set_attribute("personaguard.engine.request.id", id.to_owned());
}

/// Records the id that the engine's server gave the response, by which its own log and traces name
/// it. False where the payload has none.
pub fn record_engine_response(span: &Span, payload: &serde_json::Value) -> bool {
    let places = ["/id", "/response/id", "/message/id"];
    let Some(id) = places.iter().find_map(|place| payload.pointer(place)?.as_str()) else {
        return false;
    };
    // No text of the model comes into a trace by this way.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if id.len() <= MAX_ID && id.chars().all(is_plain) {
        span.set_attribute("personaguard.engine.response.id", id.to_owned());
    }
    true
}

/// What a chat span says about the end of its response.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// Id of the response.
    pub response_id: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the response.
    pub completion_tokens: usize,
}

/// Records the end of a response and its scores on the span.
pub fn record(span: &Span, ending: Ending<'_>, decision: &Decision) {
    let count = |n: usize| Value::I64(i64::try_from(n).unwrap_or(i64::MAX));
    span.set_attribute("gen_ai.response.id", ending.response_id.to_owned());
    span.set_attribute("gen_ai.usage.input_tokens", count(ending.prompt_tokens));
    span.set_attribute("gen_ai.usage.output_tokens", count(ending.completion_tokens));
    let reasons = vec![StringValue::from(ending.outcome.label())];
    span.set_attribute("gen_ai.response.finish_reasons", Value::Array(Array::String(reasons)));
    if ending.outcome == Outcome::Error {
        span.set_status(Status::error("the response failed"));
    }
    for (index, rule) in decision.plan().rules.iter().enumerate() {
        let Some(score) = decision.score(rule) else { continue };
        let label = if decision.is_breached(index) { "breached" } else { "within" };
        span.add_event(
            "gen_ai.evaluation.result",
            evaluation(decision.plan(), rule, score, label, ending.response_id),
        );
    }
}

fn evaluation(
    plan: &Plan,
    rule: &Rule,
    score: f64,
    label: &'static str,
    response_id: &str,
) -> Vec<KeyValue> {
    vec![
        KeyValue::new("gen_ai.evaluation.name", plan.vectors[rule.vector].trait_name.clone()),
        KeyValue::new("gen_ai.evaluation.score.value", score),
        KeyValue::new("gen_ai.evaluation.score.label", label),
        KeyValue::new("gen_ai.response.id", response_id.to_owned()),
        KeyValue::new("personaguard.score", rule.score.name()),
        KeyValue::new("personaguard.policy", plan.policies[rule.policy].name.clone()),
    ]
}
