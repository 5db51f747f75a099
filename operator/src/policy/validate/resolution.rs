//! Resolves the policies of a scope, as many of them as fit a ConfigMap. Pure.

use crate::policy::dereference::Inputs;
use crate::vector::CheckedArtifact;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy};
use personaguard_resolve::{self as resolve, MAX_CONFIG_BYTES, Rejection, VectorInput};
use personaguard_wire::GuardConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a tensor's name and header take beside its values, at most.
const TENSOR_OVERHEAD: usize = 100;

pub(super) struct Resolution {
    pub(super) config: GuardConfig,
    /// The vectors that the config uses, at their layer.
    pub(super) layers: BTreeMap<String, Vec<f32>>,
    pub(super) rejected: BTreeMap<String, Rejection>,
    /// Rejected policies whose placement is invalid, or conflicts with an older policy's.
    pub(super) misplaced: BTreeSet<String>,
}

/// Leaves out the youngest policies until the config fits.
pub(super) fn resolve_what_fits(inputs: &Inputs, model: &PersonaModel) -> Resolution {
    let vectors: BTreeMap<String, VectorInput> = inputs
        .vectors
        .iter()
        .filter_map(|(name, checked)| Some((name.clone(), checked.as_ref().ok()?.input.clone())))
        .collect();
    let mut rejected = resolve::misplaced(inputs.policies.iter().map(AsRef::as_ref));
    let misplaced = rejected.keys().cloned().collect();
    let mut candidates: Vec<PersonaPolicy> = Vec::new();
    for policy in &inputs.policies {
        if rejected.contains_key(&policy.name_any()) {
            continue;
        }
        match vectors_ready(policy, &inputs.vectors) {
            Ok(()) => candidates.push(PersonaPolicy::clone(policy)),
            Err(rejection) => drop(rejected.insert(policy.name_any(), rejection)),
        }
    }
    candidates.sort_by_key(resolve::age);
    loop {
        let resolved = resolve::resolve(model, &vectors, &candidates);
        let size = size(&resolved.config, &resolved.values);
        let youngest = candidates
            .iter()
            .rev()
            .map(ResourceExt::name_any)
            .find(|name| !resolved.rejected.contains_key(name));
        match youngest {
            Some(youngest) if size > MAX_CONFIG_BYTES => {
                candidates.retain(|policy| policy.name_any() != youngest);
                rejected.insert(youngest, too_large(&inputs.scope.model, size));
            }
            _ => {
                rejected.extend(resolved.rejected);
                let (config, layers) = (resolved.config, resolved.values);
                return Resolution { config, layers, rejected, misplaced };
            }
        }
    }
}

fn vectors_ready(
    policy: &PersonaPolicy,
    vectors: &BTreeMap<String, CheckedArtifact>,
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

/// Size of the ConfigMap in bytes.
fn size(config: &GuardConfig, layers: &BTreeMap<String, Vec<f32>>) -> usize {
    let text = config.to_yaml().map_or(0, |text| text.len());
    let tensor = |(name, values): (&String, &Vec<f32>)| {
        name.len() + TENSOR_OVERHEAD + size_of_val(values.as_slice())
    };
    text + layers.iter().map(tensor).sum::<usize>()
}

fn too_large(model: &str, size: usize) -> Rejection {
    let message = format!(
        "The policies of model `{model}` in this namespace and their vectors take {size} bytes, \
         but a ConfigMap holds {MAX_CONFIG_BYTES}: use fewer vectors here, or spread the policies \
         over several namespaces."
    );
    Rejection::new(reason::CONFIG_TOO_LARGE, message)
}
