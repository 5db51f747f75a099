//! The scores of a response.

use personaguard_guard::{Decision, MeasuredVector, RunningScore};
use serde::{Deserialize, Serialize};

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
    /// The same over the tokens of the reasoning alone, where the response has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_avg: Option<f64>,
    /// The same over the tokens of the answer alone, where the response has reasoning too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_avg: Option<f64>,
    /// Response tokens that were scored.
    pub tokens: u32,
}

/// The scores of a response, by vector.
#[must_use]
pub fn vector_scores(decision: &Decision) -> Vec<VectorScore> {
    // Without reasoning, the whole response is the answer.
    let has_reasoning = decision.reasoning_tokens() > 0;
    let score = |(index, vector): (usize, &MeasuredVector)| {
        let score = decision.running_score(index);
        VectorScore {
            vector: vector.name.clone(),
            sha256: vector.sha256.to_string(),
            layer: vector.layer.0,
            prompt_last: score.and_then(RunningScore::prompt_last),
            response_avg: score.and_then(RunningScore::response_avg),
            reasoning_avg: has_reasoning.then(|| score?.reasoning_avg()).flatten(),
            answer_avg: has_reasoning.then(|| score?.answer_avg()).flatten(),
            tokens: score.map_or(0, RunningScore::tokens),
        }
    };
    decision.plan().vectors.iter().enumerate().map(score).collect()
}
