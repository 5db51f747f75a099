//! What is measured and enforced on every response.

mod build;
mod intervention;
mod retry;
mod rule;

pub use intervention::{Direction, PlannedCap, PlannedSteering, SteeringGate};
pub use rule::{MeasuredVector, PlannedPolicy, Rule};

use crate::unscored::UnscoredReason;
use personaguard_terms::{ActionKind, Coherence, Digest, FailurePolicy, Mode, Release};
use personaguard_wire::PolicyAcknowledgement;

/// What is measured and enforced on every response. Made once for a config and a model; a request
/// keeps the one it began with.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// SHA-256 of the weight file that it was made for.
    pub model: Option<Digest>,
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
            rule.action.holds()
                || self.policies[rule.policy].failure_policy == FailurePolicy::Closed
        })
    }

    /// Whether a policy refuses what cannot be read.
    #[must_use]
    pub fn refuses_unscorable(&self) -> bool {
        self.policies.iter().any(|policy| policy.refuses(UnscoredReason::NotUnderstood))
    }

    /// The action that is reported of a rule: what its policy says, or more if the request asked
    /// for it. Whether it was taken is told by the policy's mode.
    #[must_use]
    pub fn reported_action(&self, rule: &Rule) -> ActionKind {
        match self.policies[rule.policy].mode {
            Mode::Audit => rule.declared_action,
            Mode::Enforce => rule.action.kind(),
        }
    }

    /// Whether a policy refuses what cannot be scored or recorded.
    #[must_use]
    pub fn fails_closed(&self) -> bool {
        self.policies.iter().any(|policy| policy.failure_policy == FailurePolicy::Closed)
    }

    /// Whether text leaves by whole sentences only.
    #[must_use]
    pub fn redacts(&self) -> bool {
        self.rules.iter().any(|rule| rule.action.kind().release() == Release::BySentence)
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

    /// What this pod acknowledges to enforce. That leaves out policies of which nothing can be
    /// enforced. Of vectors that may be stale a plan knows nothing.
    #[must_use]
    pub fn acknowledgements(&self) -> Vec<PolicyAcknowledgement> {
        let resolved = self.policies.iter().filter(|policy| policy.unresolved.is_none());
        let acknowledgements = resolved.map(|policy| PolicyAcknowledgement {
            name: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            digest: policy.digest.clone(),
            refused: policy.refused.clone(),
            stale: Vec::new(),
        });
        acknowledgements.collect()
    }
}
