//! Step 2: which policies can be enforced, and what follows for the scope. Pure.

mod previous;
mod resolution;

use super::dereference::Inputs;
use crate::keys::Scope;
use crate::settings::Settings;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy, names};
use personaguard_resolve::{self as resolve, Rejection};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use previous::keep_previous;
use resolution::{Resolution, resolve_what_fits};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that the next step needs.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) scope: Scope,
    pub(crate) settings: Arc<Settings>,
    /// PEM bundle that sidecars are to trust.
    pub(crate) authorities: String,
    pub(crate) plan: Plan,
    /// Why a policy is not enforced as written, by name.
    pub(crate) rejected: BTreeMap<String, Rejection>,
}

/// What to do in a scope.
#[derive(Debug)]
pub(crate) enum Plan {
    Guard(Box<Guard>),
    /// The model does not exist. Sidecars keep what they have.
    Keep,
    /// There is no policy, or nothing may be injected here.
    Withdraw(Leftover),
}

/// Inject sidecars, and have them enforce a config.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) model: Arc<PersonaModel>,
    pub(crate) config: GuardConfig,
    /// The vectors that the config uses, at their layer.
    pub(crate) layers: BTreeMap<String, Vec<f32>>,
    /// Policies whose pods get a sidecar. That includes policies that are not in force yet: a pod
    /// that starts meanwhile has its sidecar when they are.
    pub(crate) injecting: Vec<Arc<PersonaPolicy>>,
}

/// What remains of a config after the last policy.
#[derive(Debug)]
pub(crate) enum Leftover {
    Nothing,
    /// Running sidecars keep serving, and enforce nothing.
    Emptied(Box<GuardConfig>),
    /// Running sidecars have a config that cannot be read. It stays as it is.
    Unreadable,
}

impl Validated {
    pub(crate) fn config(&self) -> Option<&GuardConfig> {
        match &self.plan {
            Plan::Guard(guard) => Some(&guard.config),
            Plan::Keep | Plan::Withdraw(_) => None,
        }
    }

    /// A policy as it is in force.
    pub(crate) fn in_force(&self, name: &str) -> Option<&ResolvedPolicy> {
        self.config()?.policies.iter().find(|policy| policy.name == name)
    }
}

pub(super) fn validate(inputs: &Inputs) -> Validated {
    let (plan, rejected) = if let Some(exclusion) = &inputs.exclusion {
        let rejected = reject_all(inputs, reason::NAMESPACE_EXCLUDED, exclusion);
        (Plan::Withdraw(leftover(inputs)), rejected)
    } else if inputs.policies.is_empty() {
        (Plan::Withdraw(leftover(inputs)), BTreeMap::new())
    } else if let Some(model) = &inputs.model {
        let mut resolution = resolve_what_fits(inputs, model);
        let kept = keep_previous(&mut resolution, inputs, model);
        list_unresolved(&mut resolution, inputs, &kept);
        let Resolution { config, layers, rejected, misplaced } = resolution;
        let injecting = inputs
            .policies
            .iter()
            .filter(|policy| !misplaced.contains(&policy.name_any()))
            .cloned()
            .collect();
        let guard = Guard { model: Arc::clone(model), config, layers, injecting };
        (Plan::Guard(Box::new(guard)), rejected)
    } else {
        let message = format!(
            "PersonaModel `{}` does not exist: create it, or correct spec.model (kubectl get \
             personamodels).",
            inputs.scope.model
        );
        (Plan::Keep, reject_all(inputs, reason::MODEL_NOT_FOUND, &message))
    };
    Validated {
        scope: inputs.scope.clone(),
        settings: Arc::clone(&inputs.settings),
        authorities: inputs.authorities.clone(),
        plan,
        rejected,
    }
}

fn reject_all(inputs: &Inputs, reason: &'static str, message: &str) -> BTreeMap<String, Rejection> {
    let reject = |policy: &Arc<PersonaPolicy>| (policy.name_any(), Rejection::new(reason, message));
    inputs.policies.iter().map(reject).collect()
}

fn leftover(inputs: &Inputs) -> Leftover {
    let Some(map) = inputs.config_map.as_ref().filter(|_| inputs.sidecar_pods().next().is_some())
    else {
        return Leftover::Nothing;
    };
    let text = map.data.as_ref().and_then(|data| data.get(names::CONFIG_FILE));
    let Some(mut config) = text.and_then(|text| GuardConfig::from_yaml(text.as_bytes()).ok())
    else {
        return Leftover::Unreadable;
    };
    config.policies.clear();
    config.unresolved.clear();
    config.vectors.clear();
    Leftover::Emptied(Box::new(config))
}

/// Tells sidecars which policies are not in force. The pods that those select are unguarded, or
/// refused if the policy fails closed.
fn list_unresolved(resolution: &mut Resolution, inputs: &Inputs, kept: &BTreeSet<String>) {
    let not_in_force = inputs.policies.iter().filter(|policy| !kept.contains(&policy.name_any()));
    let unresolved = not_in_force.filter_map(|policy| {
        resolve::unresolved(policy, resolution.rejected.get(&policy.name_any())?)
    });
    resolution.config.unresolved = unresolved.collect();
    resolution.config.unresolved.sort_by(|a, b| a.name.cmp(&b.name));
}

#[cfg(test)]
mod tests;
