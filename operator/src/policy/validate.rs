//! Step 2: which policies can be enforced, and as what. Pure.

use super::dereference::Inputs;
use crate::artefact::Artefact;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy, names};
use personaguard_persona::{layer_digest, read_vector_bundle};
use personaguard_resolve::{self as resolve, MAX_CONFIG_BYTES, Rejection, VectorInput};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is to be enforced, and what not.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// Nothing while the model does not exist: what sidecars have stays as it is then.
    pub(crate) config: Option<GuardConfig>,
    /// The vectors that the config uses.
    pub(crate) layers: BTreeMap<String, Vec<f32>>,
    /// Why a policy is not enforced as it stands, by name.
    pub(crate) rejected: BTreeMap<String, Rejection>,
    /// Rejected policies of which an earlier generation stays in force.
    pub(crate) kept: BTreeSet<String>,
}

impl Verdicts {
    /// A policy as it is in force.
    pub(crate) fn in_force(&self, name: &str) -> Option<&ResolvedPolicy> {
        self.config.as_ref()?.policies.iter().find(|policy| policy.name == name)
    }
}

/// What sidecars have now.
struct Before {
    config: GuardConfig,
    layers: BTreeMap<String, Vec<f32>>,
}

pub(super) fn validate(inputs: &Inputs) -> Verdicts {
    if let Some(excluded) = &inputs.excluded {
        return refuse_all(inputs, reason::NAMESPACE_EXCLUDED, excluded);
    }
    let Some(model) = &inputs.model else {
        let message = format!(
            "PersonaModel `{0}` does not exist: create it, or correct spec.model (kubectl get personamodels).",
            inputs.scope.model
        );
        return refuse_all(inputs, reason::MODEL_NOT_FOUND, &message);
    };
    let before = inputs.config_map.as_deref().and_then(before);
    let mut verdicts = resolve_what_fits(inputs, model);
    if let Some(before) = before {
        keep(&mut verdicts, inputs, model, &before);
    }
    tell(&mut verdicts, inputs);
    verdicts
}

/// Sidecars learn of the policies that are not in force: what those select is unguarded, or refused
/// where they fail closed.
fn tell(verdicts: &mut Verdicts, inputs: &Inputs) {
    let Some(config) = &mut verdicts.config else { return };
    let rejected =
        inputs.policies.iter().filter(|policy| !verdicts.kept.contains(&policy.name_any()));
    let told = rejected.filter_map(|policy| {
        resolve::unresolved(policy, verdicts.rejected.get(&policy.name_any())?)
    });
    config.unresolved = told.collect();
    config.unresolved.sort_by(|a, b| a.name.cmp(&b.name));
}

fn refuse_all(inputs: &Inputs, reason: &'static str, message: &str) -> Verdicts {
    let refuse = |policy: &Arc<PersonaPolicy>| (policy.name_any(), Rejection::new(reason, message));
    Verdicts {
        config: None,
        layers: BTreeMap::new(),
        rejected: inputs.policies.iter().map(refuse).collect(),
        kept: BTreeSet::new(),
    }
}

/// Resolves the policies; the youngest are left out until the config fits a ConfigMap.
fn resolve_what_fits(inputs: &Inputs, model: &PersonaModel) -> Verdicts {
    let vectors: BTreeMap<String, VectorInput> = inputs
        .vectors
        .iter()
        .filter_map(|(name, checked)| Some((name.clone(), checked.as_ref().ok()?.input.clone())))
        .collect();
    let mut rejected = resolve::misplaced(inputs.policies.iter().map(AsRef::as_ref));
    let mut candidates: Vec<PersonaPolicy> = Vec::new();
    for policy in &inputs.policies {
        if rejected.contains_key(&policy.name_any()) {
            continue;
        }
        match vectors_ready(policy, &inputs.vectors) {
            Ok(()) => candidates.push(PersonaPolicy::clone(policy)),
            Err(rejection) => {
                rejected.insert(policy.name_any(), rejection);
            }
        }
    }
    candidates.sort_by_key(resolve::age);
    loop {
        let resolution = resolve::resolve(model, &vectors, &candidates);
        let size = size(&resolution.config, &resolution.values);
        let youngest = candidates
            .iter()
            .rev()
            .map(ResourceExt::name_any)
            .find(|name| !resolution.rejected.contains_key(name));
        match youngest {
            Some(youngest) if size > MAX_CONFIG_BYTES => {
                let message = format!(
                    "The policies of model `{}` in this namespace and their vectors take {size} bytes, and a ConfigMap holds {MAX_CONFIG_BYTES}: use fewer vectors here, or spread the policies over namespaces.",
                    inputs.scope.model
                );
                rejected
                    .insert(youngest.clone(), Rejection::new(reason::CONFIG_TOO_LARGE, message));
                candidates.retain(|policy| policy.name_any() != youngest);
            }
            _ => {
                rejected.extend(resolution.rejected);
                let (config, layers) = (Some(resolution.config), resolution.values);
                return Verdicts { config, layers, rejected, kept: BTreeSet::new() };
            }
        }
    }
}

fn vectors_ready(
    policy: &PersonaPolicy,
    vectors: &BTreeMap<String, Result<Arc<Artefact>, Rejection>>,
) -> Result<(), Rejection> {
    for rule in &policy.spec.traits {
        if let Some(Err(rejection)) = vectors.get(&rule.vector) {
            let message =
                format!("PersonaVector `{}` is not ready: {}", rule.vector, rejection.message);
            return Err(Rejection::new(reason::VECTOR_NOT_READY, message));
        }
    }
    Ok(())
}

/// Bytes in a ConfigMap.
fn size(config: &GuardConfig, layers: &BTreeMap<String, Vec<f32>>) -> usize {
    let text = config.to_yaml().map_or(0, |text| text.len());
    text + layers.iter().map(|(name, values)| name.len() + 100 + 4 * values.len()).sum::<usize>()
}

fn before(map: &ConfigMap) -> Option<Before> {
    let config =
        GuardConfig::from_yaml(map.data.as_ref()?.get(names::CONFIG_FILE)?.as_bytes()).ok()?;
    let file = map.binary_data.as_ref().and_then(|data| data.get(names::VECTORS_FILE));
    let layers =
        file.map_or_else(|| Some(BTreeMap::new()), |file| read_vector_bundle(&file.0).ok())?;
    Some(Before { config, layers })
}

/// A policy that was edited into something that cannot be enforced, or whose vector went away,
/// stays in force as it was: traffic that is guarded must not become unguarded by a slip.
fn keep(verdicts: &mut Verdicts, inputs: &Inputs, model: &PersonaModel, before: &Before) {
    let Some(config) = &mut verdicts.config else { return };
    for policy in &inputs.policies {
        let name = policy.name_any();
        let Some(rejection) = verdicts.rejected.get_mut(&name) else { continue };
        let same = |old: &&ResolvedPolicy| {
            old.name == name && Some(&old.uid) == policy.metadata.uid.as_ref()
        };
        let Some(old) = before.config.policies.iter().find(same) else { continue };
        // What was refused beside others must not come back beside them.
        if [reason::STEERING_CONFLICT, reason::CONFIG_TOO_LARGE].contains(&rejection.reason) {
            continue;
        }
        let needed: Option<Vec<_>> = old
            .vectors()
            .map(|name| {
                let vector = before.config.vectors.get(&name)?;
                let values = before.layers.get(&name)?;
                let fits = vector.model_digest == model.spec.sha256
                    && layer_digest(values) == vector.sha256.as_str();
                // One name is one vector: a policy that is enforced with a newer one decides.
                let free = config.vectors.get(&name).is_none_or(|newer| newer == vector);
                (fits && free).then(|| (name, vector.clone(), values.clone()))
            })
            .collect();
        let Some(needed) = needed else { continue };
        for (vector, resolved, values) in needed {
            config.vectors.insert(vector.clone(), resolved);
            verdicts.layers.insert(vector, values);
        }
        rejection
            .message
            .push_str(&format!(" Generation {} stays in force meanwhile.", old.generation));
        config.policies.push(old.clone());
        verdicts.kept.insert(name);
    }
    config.policies.sort_by(|a, b| a.name.cmp(&b.name));
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
