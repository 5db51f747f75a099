//! What is measured and enforced on every response.

mod build;
mod intervention;
mod retry;
mod rule;

pub use intervention::{Direction, PlannedCap, PlannedSteering, SteeringGate};
pub use rule::{MeasuredVector, PlannedPolicy, RefusedTrait, Rule};

use crate::policy::{Action, Coherence, FailurePolicy};

/// What is measured and enforced on every response. Made once for a policy set and a model; a
/// request keeps the one it began with.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// SHA-256 of the weight file that it was made for.
    pub model: Option<String>,
    /// Policies that guard this pod.
    pub policies: Vec<PlannedPolicy>,
    /// Vectors that are measured, in the order of their projections.
    pub vectors: Vec<MeasuredVector>,
    /// Traits of all policies.
    pub rules: Vec<Rule>,
    /// What is added to the residual stream.
    pub steering: Vec<PlannedSteering>,
    /// Bounds on projections. At one layer they apply after steering.
    pub caps: Vec<PlannedCap>,
    /// When a steered response counts as incoherent: the strictest limits of all policies.
    pub coherence: Option<Coherence>,
    /// How far steering is reduced, see [`Plan::backed_off`].
    pub back_off_level: u8,
}

impl Plan {
    /// Whether tokens wait for their scores before they leave.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.rules.iter().any(|rule| {
            rule.action.holds_back()
                || self.policies[rule.policy].failure_policy == FailurePolicy::Closed
        })
    }

    /// Whether text leaves by whole sentences only.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Redact)
    }

    /// Changes of the residual stream.
    #[must_use]
    pub fn intervention_count(&self) -> usize {
        let steering = self.steering.iter().map(|steering| steering.at.len().max(1));
        self.caps.len() + steering.sum::<usize>()
    }

    /// Whether conversations may be written to the conversation log.
    #[must_use]
    pub fn records_conversations(&self) -> bool {
        self.policies.iter().any(|policy| policy.record_conversations)
    }

    /// The same policies, with nothing measured or enforced: for responses that no policy looks at.
    #[must_use]
    pub fn unsampled_plan(&self) -> Self {
        Self { policies: self.policies.clone(), ..Self::default() }
    }
}
