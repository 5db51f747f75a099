//! From the kinds to what a sidecar enforces: a pure function that the operator and `personaguard
//! serve` share.

mod age;
mod checks;
mod config;
mod conflict;
#[cfg(test)]
mod fixtures;
mod placement;
mod policy;
mod rejection;
mod scale;
mod threshold;
mod vector;

pub use age::age;
pub use placement::misplaced;
pub use policy::{resolve_policy, unresolved};
pub use rejection::Rejection;
pub use vector::VectorInput;

use config::{resolved_part, resolved_vector, served_model};
use conflict::no_conflict;
use kube::ResourceExt;
use personaguard_api::{API_VERSION, PersonaModel, PersonaPolicy};
use personaguard_wire::{GuardConfig, ResolvedPolicy, parts};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a config folder may hold: the limit of a ConfigMap, less room for its metadata and
/// the CA bundle.
pub const MAX_CONFIG_BYTES: usize = (1 << 20) - (64 << 10);

/// What is enforced for one (namespace, model), and which policies are not.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// For the sidecars.
    pub config: GuardConfig,
    /// Values of the config's vectors, each of shape `[hidden]`.
    pub values: BTreeMap<String, Vec<f32>>,
    /// Policies that are not enforced, by name.
    pub rejected: BTreeMap<String, Rejection>,
}

/// Resolves every policy of one (namespace, model). Of two policies that contradict each other, the
/// older one stands.
#[must_use]
pub fn resolve(
    model: &PersonaModel,
    inputs: &BTreeMap<String, VectorInput>,
    policies: &[PersonaPolicy],
) -> Resolution {
    let mut oldest_first: Vec<_> = policies.iter().collect();
    oldest_first.sort_by_key(|policy| age(policy));
    let mut accepted: Vec<ResolvedPolicy> = Vec::new();
    let mut rejected = misplaced(policies);
    for policy in oldest_first {
        if rejected.contains_key(&policy.name_any()) {
            continue;
        }
        match resolve_policy(policy, model, inputs).and_then(|new| no_conflict(new, &accepted)) {
            Ok(new) => accepted.push(new),
            Err(rejection) => {
                rejected.insert(policy.name_any(), rejection);
            }
        }
    }
    accepted.sort_by(|a, b| a.name.cmp(&b.name));
    let rules = || accepted.iter().flat_map(|policy| &policy.traits);
    let used: BTreeSet<_> = rules().map(|rule| &rule.vector).collect();
    let own_layers: Vec<_> =
        used.into_iter().filter_map(|name| Some((name.clone(), inputs.get(name)?))).collect();
    let mut values: BTreeMap<_, _> =
        own_layers.iter().map(|(name, vector)| (name.clone(), vector.values.clone())).collect();
    let mut vectors: BTreeMap<_, _> =
        own_layers.into_iter().map(|(name, vector)| (name, resolved_vector(vector))).collect();
    for rule in rules() {
        let Some(vector) = inputs.get(&rule.vector) else { continue };
        for part in parts(rule.steer.as_ref(), rule.cap.as_ref()) {
            let (name, Some(part_values)) = (part.name(&rule.vector), part.values(&vector.layers))
            else {
                continue;
            };
            vectors.insert(name.clone(), resolved_part(vector, part, &part_values));
            values.insert(name, part_values);
        }
    }
    let config = GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: served_model(model),
        vectors,
        policies: accepted,
        unresolved: Vec::new(),
    };
    Resolution { config, values, rejected }
}

#[cfg(test)]
mod tests;
