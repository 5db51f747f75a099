//! One trait of a policy.

use super::threshold::Threshold;
use kube::KubeSchema;
use personaguard_terms::{
    Action, Capping, Redaction, Regeneration, RequestBounds, Score, Steering,
};
use serde::{Deserialize, Serialize};

/// One trait of a policy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = (
        "self.action in ['Audit', 'Steer', 'Cap'] || has(self.threshold)",
        "this action needs a threshold: give threshold.sigma, .quantile, .projection or .range"
    ),
    validation = (
        "(self.action == 'Steer') == has(self.steer)",
        "steer goes with action Steer: give steer.coefficient there, and nowhere else"
    ),
    validation = (
        "(self.action == 'Cap') == has(self.cap)",
        "cap goes with action Cap: give cap.floor or cap.ceiling there, and nowhere else"
    ),
    validation = (
        "(self.action == 'Regenerate') == has(self.regenerate)",
        "regenerate goes with action Regenerate: give regenerate.coefficient there, and nowhere \
         else"
    ),
    validation = (
        "(self.action == 'Redact') == has(self.redact)",
        "redact goes with action Redact: give redact.text there, and nowhere else"
    ),
    validation = (
        "self.action != 'Regenerate' || self.score == 'ResponseAvg'",
        "a new answer does not change the score of its prompt: action Regenerate goes with score \
         ResponseAvg"
    ),
    validation = (
        "!has(self.requests) || has(self.threshold) || !(self.requests.block || \
         self.requests.threshold)",
        "requests.block and requests.threshold need a threshold that callers start from"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraitRule {
    /// Name of the `PersonaVector`.
    #[schemars(length(min = 1, max = 63))]
    pub vector: String,
    /// The limit: a score past it is a breach. Optional with actions `Audit`, `Steer` and `Cap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The score that is compared with the threshold. `ResponseAvg`: mean projection over the
    /// response tokens. `PromptLast`: projection at the last prompt token, known before the first
    /// token is generated.
    #[serde(default)]
    pub score: Score,
    /// What to do, from the least to the most intrusive. `Audit`: record the score. `Alert`: also
    /// notify people of a breach. `Steer`: add the vector, times a coefficient, to the activations
    /// of every answer, and alert on a breach. `Cap`: keep the projection of the activations
    /// between a floor and a ceiling, and alert on a breach. `Regenerate`: generate an answer past
    /// its threshold again, steered, and send the one that scores best. `Redact`: replace the first
    /// breaching sentence, and everything after it, by a fixed text. `Block`: stop an answer at the
    /// breach; what would have followed never leaves the sidecar.
    pub action: Action,
    /// How to steer. With action `Steer` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steer: Option<Steering>,
    /// Where to cap. With action `Cap` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<Capping>,
    /// How to generate again. With action `Regenerate` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<Regeneration>,
    /// What to say instead. With action `Redact` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redaction>,
    /// What callers may ask for beyond the policy, request by request. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestBounds>,
}
