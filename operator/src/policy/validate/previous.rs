//! A policy that was edited into something that cannot be enforced, or whose vector went away,
//! stays in force as it was: a mistake must not make guarded traffic unguarded. Pure.

use super::resolution::Resolution;
use crate::policy::dereference::Inputs;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy, names};
use personaguard_persona::{layer_digest, read_vector_bundle};
use personaguard_wire::{GuardConfig, ResolvedPolicy, ResolvedVector};
use std::collections::{BTreeMap, BTreeSet};

/// What sidecars have now.
struct Previous {
    config: GuardConfig,
    layers: BTreeMap<String, Vec<f32>>,
}

/// Adds the previous generation of rejected policies to the config. Returns their names.
pub(super) fn keep_previous(
    resolution: &mut Resolution,
    inputs: &Inputs,
    model: &PersonaModel,
) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let Some(previous) = inputs.config_map.as_deref().and_then(Previous::read) else { return kept };
    for policy in &inputs.policies {
        let name = policy.name_any();
        let Some(rejection) = resolution.rejected.get_mut(&name) else { continue };
        // One that was rejected because of the others must not come back beside them.
        if [reason::STEERING_CONFLICT, reason::CONFIG_TOO_LARGE].contains(&rejection.reason) {
            continue;
        }
        let Some(old) = previous.policy(policy) else { continue };
        let Some(vectors) = previous.vectors_of(old, &resolution.config, model) else { continue };
        for (vector, resolved, values) in vectors {
            resolution.config.vectors.insert(vector.clone(), resolved);
            resolution.layers.insert(vector, values);
        }
        let note = format!(" Generation {} stays in force meanwhile.", old.generation);
        rejection.message.push_str(&note);
        resolution.config.policies.push(old.clone());
        kept.insert(name);
    }
    resolution.config.policies.sort_by(|a, b| a.name.cmp(&b.name));
    kept
}

impl Previous {
    fn read(map: &ConfigMap) -> Option<Self> {
        let text = map.data.as_ref()?.get(names::CONFIG_FILE)?;
        let config = GuardConfig::from_yaml(text.as_bytes()).ok()?;
        let file = map.binary_data.as_ref().and_then(|data| data.get(names::VECTORS_FILE));
        let layers = match file {
            Some(file) => read_vector_bundle(&file.0).ok()?,
            None => BTreeMap::new(),
        };
        Some(Self { config, layers })
    }

    /// Not that of a former policy of the same name.
    fn policy(&self, policy: &PersonaPolicy) -> Option<&ResolvedPolicy> {
        let (name, uid) = (policy.name_any(), policy.metadata.uid.as_ref());
        self.config.policies.iter().find(|old| old.name == name && Some(&old.uid) == uid)
    }

    /// The vectors of a policy, unless one is missing, is damaged, belongs to other weights, or
    /// differs from a newer one of the same name in `config`.
    fn vectors_of(
        &self,
        policy: &ResolvedPolicy,
        config: &GuardConfig,
        model: &PersonaModel,
    ) -> Option<Vec<(String, ResolvedVector, Vec<f32>)>> {
        let vector = |name: String| {
            let vector = self.config.vectors.get(&name)?;
            let values = self.layers.get(&name)?;
            let fits = vector.model_digest == model.spec.sha256
                && layer_digest(values) == vector.sha256.as_str();
            let newest = config.vectors.get(&name).is_none_or(|newer| newer == vector);
            (fits && newest).then(|| (name, vector.clone(), values.clone()))
        };
        policy.vectors().map(vector).collect()
    }
}
