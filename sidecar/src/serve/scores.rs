//! The field `personaguard` of a response.

use super::request::Extension;
use crate::guard::{Bounds, Decision};
use personaguard_terms::{Action, Score};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The field `personaguard` of a response: what the policies made of it. None when nothing was
/// asked for.
pub(super) fn scores(
    decision: &Decision,
    projections: &[Vec<f32>],
    asked: Extension,
    attempts: u32,
) -> Option<Value> {
    if !asked.any() {
        return None;
    }
    let plan = decision.plan();
    let mut field = Map::new();
    let policies = plan.policies.iter().enumerate().map(|(index, policy)| {
        let refused: Vec<_> = policy.refused.iter().map(|refused| &refused.vector).collect();
        json!({ "name": policy.name, "generation": policy.generation, "mode": policy.mode, "refused": refused,
            "sampled": decision.looks(index), "unresolved": policy.unresolved.as_ref().map(|failure| &failure.reason) })
    });
    field.insert("policies".to_owned(), policies.collect());
    if attempts > 1 {
        field.insert("attempts".to_owned(), json!(attempts));
    }
    if asked.scores {
        let rules = plan.rules.iter().enumerate().map(|(index, rule)| {
            let (tap, tally) = (&plan.taps[rule.tap], decision.tally(rule.tap));
            json!(TraitScore {
                policy: &plan.policies[rule.policy].name,
                vector: &tap.vector,
                trait_name: &tap.trait_name,
                layer: tap.layer.0,
                prompt_last: tally.and_then(crate::guard::Tally::prompt_last),
                response_avg: tally.and_then(crate::guard::Tally::response_avg),
                score: rule.score,
                threshold: threshold(rule.bounds),
                breached: decision.breached(index),
                action: rule.action,
            })
        });
        field.insert("scores".to_owned(), rules.collect());
    }
    if asked.tokens {
        let series =
            |tap: usize| projections.iter().map(|token| json!(token.get(tap))).collect::<Value>();
        let tokens: Map<_, _> =
            plan.taps.iter().enumerate().map(|(i, tap)| (tap.vector.clone(), series(i))).collect();
        field.insert("tokens".to_owned(), Value::Object(tokens));
    }
    Some(Value::Object(field))
}

/// Scores of one trait under one policy. Projections are in units of the model's activations.
#[derive(Serialize)]
struct TraitScore<'a> {
    policy: &'a str,
    vector: &'a str,
    #[serde(rename = "trait")]
    trait_name: &'a str,
    layer: u32,
    prompt_last: Option<f64>,
    response_avg: Option<f64>,
    /// The score that is compared.
    score: Score,
    threshold: Value,
    breached: bool,
    action: Action,
}

/// A number where there is only an upper bound, as most have; else both.
fn threshold(bounds: Bounds) -> Value {
    match (bounds.min, bounds.max) {
        (None, None) => Value::Null,
        (None, Some(max)) => json!(max),
        (min, max) => json!({ "min": min, "max": max }),
    }
}
