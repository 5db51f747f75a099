//! What the lines of the logs say.

use personaguard_guard::{Decision, Plan, Stop};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A response, without a word of it: an entry of the audit log.
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

/// Scores of one response along one vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorScore {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// SHA-256 of its values.
    pub sha256: String,
    /// Layer, 1-based.
    pub layer: u32,
    /// Projection at the last prompt token.
    pub prompt_last: Option<f64>,
    /// Mean projection over the response tokens.
    pub response_avg: Option<f64>,
    /// Response tokens that were scored.
    pub tokens: u32,
}

/// What was done to the residual stream along one vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Name of the `PersonaVector`.
    pub vector: String,
    /// Steering: the coefficient.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coefficient: Option<personaguard_terms::Coefficient>,
    /// Steering: when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub when: Option<Condition>,
    /// Capping: the floor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub floor: Option<f64>,
    /// Capping: the ceiling.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ceiling: Option<f64>,
    /// Token positions.
    pub positions: personaguard_terms::Positions,
}

/// When it steered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Name of the `PersonaVector` that decided.
    pub vector: String,
    /// Where it was read.
    pub at: personaguard_terms::ConditionAt,
    /// Above this.
    pub above: f64,
    /// Until no longer above this.
    pub until: f64,
}

/// What a plan does to the residual stream, in order.
#[must_use]
pub fn changes(plan: &Plan) -> Vec<Change> {
    let name = |tap: usize| plan.taps[tap].vector.clone();
    let steering = plan.steering.iter().flat_map(|steer| {
        let own = steer.at.is_empty().then(|| name(steer.tap));
        let vectors = steer.at.iter().map(|at| at.name.clone()).chain(own);
        vectors.map(|vector| Change {
            vector,
            coefficient: Some(steer.coefficient),
            when: steer.when.map(|w| Condition {
                vector: name(w.tap),
                at: w.at,
                above: w.above,
                until: w.until,
            }),
            floor: None,
            ceiling: None,
            positions: steer.positions,
        })
    });
    let caps = plan.caps.iter().map(|cap| Change {
        vector: cap.at.as_ref().map_or_else(|| name(cap.tap), |at| at.name.clone()),
        coefficient: None,
        when: None,
        floor: cap.floor,
        ceiling: cap.ceiling,
        positions: cap.positions,
    });
    steering.chain(caps).collect()
}

/// The scores of a response, vector by vector.
#[must_use]
pub fn scores(decision: &Decision) -> Vec<VectorScore> {
    let score = |(index, tap): (usize, &personaguard_guard::Tap)| {
        let tally = decision.tally(index);
        VectorScore {
            vector: tap.vector.clone(),
            sha256: tap.sha256.to_string(),
            layer: tap.layer.0,
            prompt_last: tally.and_then(personaguard_guard::Tally::prompt_last),
            response_avg: tally.and_then(personaguard_guard::Tally::response_avg),
            tokens: tally.map_or(0, personaguard_guard::Tally::count),
        }
    };
    decision.plan().taps.iter().enumerate().map(score).collect()
}

/// An entry of the audit log.
#[must_use]
pub fn response(entry: ResponseEntry<'_>, decision: &Decision) -> Value {
    let plan = decision.plan();
    let policy = |(index, policy): (usize, &personaguard_guard::PlannedPolicy)| {
        json!({
            "name": policy.name, "generation": policy.generation, "digest": policy.digest, "mode": policy.mode,
            "failure_policy": policy.failure_policy, "sampled": decision.looks(index),
            "refused": policy.refused.iter().map(|refused| &refused.vector).collect::<Vec<_>>(),
            "unresolved": policy.unresolved.as_ref().map(|failure| &failure.reason),
        })
    };
    let rule = |(index, rule): (usize, &personaguard_guard::Rule)| {
        json!({
            "policy": plan.policies[rule.policy].name, "vector": plan.taps[rule.tap].vector, "score": rule.score,
            "value": decision.score(rule), "min": rule.bounds.min, "max": rule.bounds.max, "action": rule.action,
            "breached": decision.breached(index),
        })
    };
    let stop = decision.stop().map(|stop| match stop {
        Stop::Redacted => "redacted",
        Stop::Blocked => "blocked",
        Stop::Unscorable => "unscorable",
    });
    json!({
        "kind": "response", "response_id": entry.response_id, "outcome": entry.outcome, "decision": stop,
        "prompt_tokens": entry.prompt_tokens, "completion_tokens": entry.completion_tokens, "attempts": entry.attempts,
        "unguarded": entry.unguarded, "model": plan.model, "policies": plan.policies.iter().enumerate().map(policy).collect::<Vec<_>>(),
        "rules": plan.rules.iter().enumerate().map(rule).collect::<Vec<_>>(), "scores": scores(decision),
        "changes": changes(plan),
    })
}

/// A conversation, word for word: an entry of the conversation log. With it and the vectors,
/// `personaguard replay` computes its scores anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Always `conversation`.
    pub kind: String,
    /// Id of the response.
    pub response_id: String,
    /// SHA-256 of the weight file.
    pub model: Option<personaguard_terms::Digest>,
    /// `{"role", "content"}` each.
    pub messages: Vec<Value>,
    /// Tokens of the prompt, where they follow from more than the messages: in placement Proxy.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub prompt: Vec<u32>,
    /// Tokens that the model wrote and that were scored, whether they left or not.
    pub tokens: Vec<u32>,
    /// The same as text.
    pub text: String,
    /// What was done to the residual stream.
    pub changes: Vec<Change>,
}

impl Conversation {
    /// Value of [`Conversation::kind`].
    pub const KIND: &str = "conversation";
}
