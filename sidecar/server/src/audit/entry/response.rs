//! An entry of the audit log.

use super::change::{Change, changes};
use super::vector_score::{VectorScore, vector_scores};
use personaguard_guard::{Decision, Plan, Stop};
use personaguard_terms::{ActionKind, Digest, FailurePolicy, Mode, Score};
use serde::Serialize;
use serde_json::Value;

/// What the server knows of a response, without a word of it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEntry<'a> {
    /// Id of the response, as the client saw it.
    pub response_id: &'a str,
    /// How it ended.
    pub outcome: &'static str,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the response.
    pub completion_tokens: usize,
    /// How often it was written.
    pub attempts: u32,
    /// Why it counts as unguarded, if it does.
    pub unguarded: Option<&'static str>,
}

#[derive(Serialize)]
struct Fields<'a> {
    kind: &'static str,
    response_id: &'a str,
    outcome: &'static str,
    decision: Option<&'static str>,
    prompt_tokens: usize,
    completion_tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<usize>,
    attempts: u32,
    unguarded: Option<&'static str>,
    model: Option<&'a Digest>,
    policies: Vec<PolicyFields<'a>>,
    rules: Vec<RuleFields<'a>>,
    scores: Vec<VectorScore>,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct PolicyFields<'a> {
    name: &'a str,
    generation: i64,
    digest: Option<&'a Digest>,
    mode: Mode,
    failure_policy: FailurePolicy,
    sampled: bool,
    refused: Vec<&'a str>,
    unresolved: Option<&'a str>,
}

#[derive(Serialize)]
struct RuleFields<'a> {
    policy: &'a str,
    vector: &'a str,
    score: Score,
    value: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    action: ActionKind,
    breached: bool,
}

/// The entry of a response.
///
/// # Errors
/// If a number in it does not serialise.
pub fn response(entry: ResponseEntry<'_>, decision: &Decision) -> serde_json::Result<Value> {
    let plan = decision.plan();
    serde_json::to_value(Fields {
        kind: "response",
        response_id: entry.response_id,
        outcome: entry.outcome,
        decision: decision.stop().map(stop_name),
        prompt_tokens: entry.prompt_tokens,
        completion_tokens: entry.completion_tokens,
        reasoning_tokens: Some(decision.reasoning_tokens()).filter(|tokens| *tokens > 0),
        attempts: entry.attempts,
        unguarded: entry.unguarded,
        model: plan.model.as_ref(),
        policies: policies(plan, decision),
        rules: rules(plan, decision),
        scores: vector_scores(decision),
        changes: changes(plan),
    })
}

fn policies<'a>(plan: &'a Plan, decision: &Decision) -> Vec<PolicyFields<'a>> {
    let policies = plan.policies.iter().enumerate().map(|(index, policy)| PolicyFields {
        name: &policy.name,
        generation: policy.generation,
        digest: policy.digest.as_ref(),
        mode: policy.mode,
        failure_policy: policy.failure_policy,
        sampled: decision.is_sampled(index),
        refused: policy.refused.iter().map(|refused| refused.vector.as_str()).collect(),
        unresolved: policy.unresolved.as_ref().map(|failure| failure.reason.as_str()),
    });
    policies.collect()
}

fn rules<'a>(plan: &'a Plan, decision: &Decision) -> Vec<RuleFields<'a>> {
    let rules = plan.rules.iter().enumerate().map(|(index, rule)| RuleFields {
        policy: &plan.policies[rule.policy].name,
        vector: &plan.vectors[rule.vector].name,
        score: rule.score,
        value: decision.score(rule),
        min: rule.bounds.min,
        max: rule.bounds.max,
        action: plan.reported_action(rule),
        breached: decision.is_breached(index),
    });
    rules.collect()
}

fn stop_name(stop: Stop) -> &'static str {
    match stop {
        Stop::Redacted => "redacted",
        Stop::Blocked => "blocked",
        Stop::Unscorable => "unscorable",
    }
}
