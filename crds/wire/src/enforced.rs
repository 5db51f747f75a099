//! What a policy of a config amounts to, as a digest that operator and sidecar each compute from
//! what they hold. A text that was changed in between has another one, whatever it says of itself.

use crate::guard_config::{GuardConfig, ResolvedPolicy, ResolvedVector, ServedModel};
use personaguard_terms::Digest;
use std::collections::BTreeMap;

impl GuardConfig {
    /// Digest of a policy as it is enforced with the vectors of this config.
    #[must_use]
    pub fn enforced(&self, policy: &ResolvedPolicy) -> Digest {
        policy.enforced_with(&self.model, |name| self.vectors.get(name))
    }
}

impl ResolvedPolicy {
    /// Digest of everything that the policy makes a sidecar do with these vectors: its own content,
    /// of each vector the layer, the baseline, and the digests of its values and its weights, and
    /// how the model is served, since what is too long or comes too late is not scored.
    #[must_use]
    pub fn enforced_with<'a>(
        &self,
        model: &ServedModel,
        vector: impl Fn(&str) -> Option<&'a ResolvedVector>,
    ) -> Digest {
        let policy = Self { digest: None, ..self.clone() };
        let vectors: BTreeMap<String, Option<&ResolvedVector>> = self
            .vectors()
            .map(|name| {
                let found = vector(&name);
                (name, found)
            })
            .collect();
        // Fields and strings alone: there is nothing in it that cannot be written.
        let content = serde_json::to_vec(&(policy, vectors, model)).unwrap_or_default();
        Digest::of(&content)
    }
}

#[cfg(test)]
mod tests;
