//! The field `personaguard` of a response: what the policies made of a choice.

use crate::openai::{PolicyInfo, ScoreReport, ThresholdInfo, TraitScore};
use crate::session::ReportOptions;
use personaguard_guard::{Bounds, Decision, Plan, RunningScore};
use serde_json::{Map, Value, json};

/// None where nothing was asked for.
pub(super) fn score_report(
    decision: &Decision,
    projections: &[Vec<f32>],
    asked: ReportOptions,
    attempts: u32,
) -> Option<ScoreReport> {
    let plan = decision.plan();
    asked.any().then(|| ScoreReport {
        policies: policies(decision),
        attempts: (attempts > 1).then_some(attempts),
        scores: asked.scores.then(|| scores(decision)),
        tokens: asked.tokens.then(|| tokens(plan, projections)),
    })
}

fn policies(decision: &Decision) -> Vec<PolicyInfo> {
    let info = |(index, policy): (usize, &personaguard_guard::PlannedPolicy)| PolicyInfo {
        name: policy.name.clone(),
        generation: policy.generation,
        mode: policy.mode,
        refused: policy.refused.iter().map(|refused| refused.vector.clone()).collect(),
        sampled: decision.is_sampled(index),
        unresolved: policy.unresolved.as_ref().map(|failure| failure.reason.clone()),
    };
    decision.plan().policies.iter().enumerate().map(info).collect()
}

fn scores(decision: &Decision) -> Vec<TraitScore> {
    let plan = decision.plan();
    let has_reasoning = decision.reasoning_tokens() > 0;
    let score = |(index, rule): (usize, &personaguard_guard::Rule)| {
        let (vector, score) = (&plan.vectors[rule.vector], decision.running_score(rule.vector));
        TraitScore {
            policy: plan.policies[rule.policy].name.clone(),
            vector: vector.name.clone(),
            trait_name: vector.trait_name.clone(),
            layer: vector.layer.0,
            prompt_last: score.and_then(RunningScore::prompt_last),
            response_avg: score.and_then(RunningScore::response_avg),
            reasoning_avg: has_reasoning.then(|| score?.reasoning_avg()).flatten(),
            answer_avg: has_reasoning.then(|| score?.answer_avg()).flatten(),
            score: rule.score,
            threshold: threshold(rule.bounds),
            breached: decision.is_breached(index),
            action: plan.reported_action(rule),
        }
    };
    plan.rules.iter().enumerate().map(score).collect()
}

fn threshold(bounds: Bounds) -> Option<ThresholdInfo> {
    match (bounds.min, bounds.max) {
        (None, None) => None,
        (None, Some(max)) => Some(ThresholdInfo::Max(max)),
        (min, max) => Some(ThresholdInfo::Bounds { min, max }),
    }
}

/// For each vector, the projection of each token.
fn tokens(plan: &Plan, projections: &[Vec<f32>]) -> Map<String, Value> {
    let series =
        |index: usize| projections.iter().map(|token| json!(token.get(index))).collect::<Value>();
    let vectors = plan.vectors.iter().enumerate();
    vectors.map(|(index, vector)| (vector.name.clone(), series(index))).collect()
}
