//! What is in force: a model by its names, and what is measured and enforced on it, wherever its
//! scores come from.

use crate::config::Config;
use personaguard_guard::{BackOff, ModelFacts, Plan, PolicySampler, Serving};
use personaguard_terms::Digest;
use personaguard_wire::{PolicyAcknowledgement, StaleVector};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A model, and what is enforced on it. A request keeps the one it began with.
#[derive(Debug)]
pub struct InForce {
    /// Name, as answers have it.
    pub name: String,
    /// Other names by which clients may ask for it.
    pub aliases: Vec<String>,
    /// Digest of the weight file.
    pub digest: Digest,
    /// Longest request body in bytes, where the config says it.
    pub max_request_bytes: Option<usize>,
    /// Longest time for scoring one piece of a response, where the config says it.
    pub scoring_deadline: Option<Duration>,
    /// What is measured and enforced.
    pub plan: Arc<Plan>,
    /// The same for responses that no policy looks at.
    pub unsampled_plan: Arc<Plan>,
    /// Picks the policies that look at a response.
    pub sampler: PolicySampler,
    /// How far steering is reduced.
    pub back_off: BackOff,
    /// Of each policy, the vectors that were made on the model served in another way.
    pub(crate) stale: BTreeMap<String, Vec<StaleVector>>,
}

impl InForce {
    /// What a config says of a model with these facts, served so.
    pub(super) fn new(config: &Config, facts: &ModelFacts, serving: &Serving) -> Self {
        let plan = Plan::new(&config.guard, &config.vectors, facts);
        let policies = config.guard.policies.iter();
        let stale =
            policies.map(|policy| (policy.name.clone(), serving.stale(&config.guard, policy)));
        let deadline = config.guard.model.scoring_deadline_seconds;
        Self {
            name: config.guard.model.name.clone(),
            aliases: config.guard.model.aliases.clone(),
            digest: facts.digest.clone(),
            max_request_bytes: config.guard.model.max_request_bytes.map(|bytes| bytes as usize),
            scoring_deadline: deadline.map(|seconds| Duration::from_secs(seconds.into())),
            unsampled_plan: Arc::new(plan.unsampled_plan()),
            sampler: PolicySampler::default(),
            back_off: BackOff::default(),
            stale: stale.filter(|(_, vectors)| !vectors.is_empty()).collect(),
            plan: Arc::new(plan),
        }
    }

    /// Whether clients may ask for it by this name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// The names by which clients may ask for it, its own first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    /// What this pod acknowledges to enforce.
    pub(super) fn acknowledgements(&self) -> Vec<PolicyAcknowledgement> {
        let mut all = self.plan.acknowledgements();
        for policy in &mut all {
            policy.stale = self.stale.get(&policy.name).cloned().unwrap_or_default();
        }
        all
    }

    /// Logs what is in force, and every policy and trait that is not.
    pub(super) fn log(&self) {
        for policy in &self.plan.policies {
            if let Some(failure) = &policy.unresolved {
                tracing::error!(
                    policy = %policy.name, reason = %failure.reason,
                    message_to_user = %failure.message, failure_policy = ?policy.failure_policy,
                    "a policy is not enforced"
                );
            }
            for refused in &policy.refused {
                let failure = &refused.failure;
                tracing::error!(
                    policy = %policy.name, vector = %refused.vector, reason = %failure.reason,
                    message_to_user = %failure.message, "a trait is not enforced"
                );
            }
        }
        for (policy, stale) in &self.stale {
            for StaleVector { vector, difference } in stale {
                tracing::warn!(
                    %policy, %vector, difference,
                    "the calibration of a vector may not fit how the model is served"
                );
            }
        }
        tracing::info!(
            model = %self.name, digest = %self.digest.short(),
            policies = self.plan.policies.len(), traits = self.plan.rules.len(), "serving"
        );
    }
}
