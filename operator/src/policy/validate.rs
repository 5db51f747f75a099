//! Step 2: which policies can be enforced, and what follows for the scope. Pure.

mod choice;
mod hold;
mod refused;
mod resolution;
mod strays;

use super::dereference::Inputs;
use super::stored::{Edition, Stored, StoredConfig};
use crate::fleet::GivenPolicies;
use crate::keys::Scope;
use crate::objects::PodView;
use crate::settings::Settings;
use hold::hold;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{ModelEngine, PersonaInjection, PersonaModel, PersonaPolicy, PodState};
use personaguard_resolve::{self as resolve, Rejection};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use refused::refused;
use resolution::{Resolution, resolve_scope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use strays::strays;

/// Everything that the next step needs.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) scope: Scope,
    pub(crate) settings: Arc<Settings>,
    /// PEM bundle that sidecars are to trust.
    pub(crate) authorities: String,
    pub(crate) plan: Plan,
    /// Policies that fail closed and for which nothing can be injected: no pod of theirs may start.
    /// `None` where that stays as it is.
    pub(crate) refused: Option<Vec<Arc<PersonaPolicy>>>,
    /// Why a policy is not enforced as written, by name.
    pub(crate) rejected: BTreeMap<String, Rejection>,
}

/// What to do in a scope.
#[derive(Debug)]
pub(crate) enum Plan {
    Guard(Box<Guard>),
    /// The model does not exist, something of the scope cannot be read, or nothing is injected here
    /// any more. What is in force stays, but for policies that are being deleted.
    Hold(Box<Held>),
    /// There is no policy, or no sidecar and nothing may be injected here.
    Withdraw(Leftover),
}

/// Inject sidecars, and have them enforce a config.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) model: Arc<PersonaModel>,
    pub(crate) config: GuardConfig,
    /// The vectors that the config uses, at their layer.
    pub(crate) layers: BTreeMap<String, Vec<f32>>,
    /// For pods that were made for former weights of the model.
    pub(crate) former: BTreeMap<String, Edition>,
    /// Policies whose pods get a sidecar. That includes policies that are not in force yet: a pod
    /// that starts meanwhile has its sidecar when they are.
    pub(crate) injecting: Vec<Arc<PersonaPolicy>>,
    /// Policies that stay in force as they were: their pods get a sidecar, too.
    pub(crate) kept: Vec<ResolvedPolicy>,
    /// The port that the sidecar takes over as it is injected now.
    pub(crate) takeover: Option<String>,
    /// Whether pods with this model's sidecar run.
    pub(crate) pods_run: bool,
}

/// What is in force, without policies that are being deleted.
#[derive(Debug)]
pub(crate) struct Held {
    /// `None` if it cannot be read, or is not there: then it is not touched.
    pub(crate) config: Option<StoredConfig>,
    /// Whether `config` differs from what is in force.
    pub(crate) changed: bool,
    /// The injection that is in force.
    pub(crate) injection: Option<Arc<PersonaInjection>>,
    /// Whether new pods still get a sidecar.
    pub(crate) injects: bool,
}

/// What remains of a config after the last policy.
#[derive(Debug)]
pub(crate) enum Leftover {
    Nothing,
    /// Running sidecars keep serving, and enforce nothing.
    Emptied(Box<StoredConfig>),
    /// Running sidecars have a config that cannot be read. It stays as it is.
    Unreadable,
}

impl Validated {
    /// The policies in force for pods of the model's present weights.
    pub(crate) fn config(&self) -> Option<&GuardConfig> {
        match &self.plan {
            Plan::Guard(guard) => Some(&guard.config),
            Plan::Hold(held) => Some(&held.config.as_ref()?.present.config),
            Plan::Withdraw(_) => None,
        }
    }

    /// The configs for pods of former weights, by the identity of their model.
    pub(crate) fn former(&self) -> Option<&BTreeMap<String, Edition>> {
        match &self.plan {
            Plan::Guard(guard) => Some(&guard.former),
            Plan::Hold(held) => Some(&held.config.as_ref()?.former),
            Plan::Withdraw(_) => None,
        }
    }

    /// What its sidecars can report of; `None` if that cannot be told.
    pub(crate) fn given(&self) -> Option<GivenPolicies> {
        match &self.plan {
            Plan::Withdraw(Leftover::Unreadable) => None,
            Plan::Withdraw(_) => Some(GivenPolicies::default()),
            Plan::Guard(_) | Plan::Hold(_) => {
                let former = self.former().into_iter().flatten();
                let former = former.map(|(identity, edition)| (identity, &edition.config));
                Some(GivenPolicies::new(self.config()?, former))
            }
        }
    }

    /// A policy as it is in force.
    pub(crate) fn in_force(&self, name: &str) -> Option<&ResolvedPolicy> {
        self.config()?.policies.iter().find(|policy| policy.name == name)
    }

    /// A policy as it is in force in a pod.
    pub(crate) fn in_force_in(&self, pod: &PodView, name: &str) -> Option<&ResolvedPolicy> {
        let policies = &self.config_of(pod)?.policies;
        policies.iter().find(|policy| policy.name == name)
    }

    /// The config of a pod, by the weights that it was made for.
    pub(crate) fn config_of(&self, pod: &PodView) -> Option<&GuardConfig> {
        let former = pod.identity.as_ref().and_then(|identity| self.former()?.get(identity));
        former.map(|edition| &edition.config).or_else(|| self.config())
    }
}

pub(super) fn validate(inputs: &Inputs) -> Validated {
    let stored = Stored::read(inputs.config_map.as_deref());
    let strays = strays(inputs, stored.config());
    let (plan, rejected) = if let Some(exclusion) = &inputs.exclusion {
        excluded(inputs, &stored, &Rejection::new(reason::NAMESPACE_EXCLUDED, exclusion))
    } else if let Some(unreadable) = inputs.unreadable.first() {
        hold(inputs, &stored, &Rejection::new(reason::UNREADABLE, unreadable))
    } else if inputs.policies.is_empty() && strays.is_empty() {
        (Plan::Withdraw(leftover(inputs, &stored)), BTreeMap::new())
    } else if let Some(rejection) = another_engine(inputs, &stored) {
        hold(inputs, &stored, &rejection)
    } else if let Some(model) = &inputs.model {
        let former = former(inputs, model, stored.config());
        let served = resolve::served_model(model);
        let previous = stored.config().and_then(|stored| stored.edition_for(&served));
        let reserved =
            former.values().map(|old| choice::size(&old.config, &old.layers)).sum::<usize>();
        let mut resolution = resolve_scope(inputs, model, previous, &strays, reserved);
        if matches!(stored, Stored::Unreadable) && !resolution.rejected.is_empty() {
            // What they were in force as cannot be told, so it is not replaced.
            let rejection = Rejection::new(reason::UNREADABLE, UNREADABLE_CONFIG);
            return validated(inputs, &stored, hold(inputs, &stored, &rejection));
        }
        list_unresolved(&mut resolution, inputs);
        resolution
            .rejected
            .retain(|name, _| !strays.iter().any(|it| it.policy.name_any() == *name));
        let Resolution { config, layers, rejected, misplaced, mut kept } = resolution;
        for stray in strays.iter().filter(|stray| stray.in_force_elsewhere) {
            kept.remove(&stray.policy.name_any());
        }
        let injecting = inputs
            .policies
            .iter()
            .filter(|policy| !misplaced.contains(&policy.name_any()))
            .cloned()
            .collect();
        let guard = Guard {
            model: Arc::clone(model),
            config,
            layers,
            former,
            injecting,
            kept: kept.into_values().collect(),
            takeover: inputs.injection.as_ref().and_then(|it| it.spec.takeover.clone()),
            pods_run: pods_run(inputs),
        };
        (Plan::Guard(Box::new(guard)), rejected)
    } else {
        let message = format!(
            "PersonaModel `{}` does not exist: create it, or correct spec.model (kubectl get \
             personamodels).",
            inputs.scope.model
        );
        hold(inputs, &stored, &Rejection::new(reason::MODEL_NOT_FOUND, message))
    };
    validated(inputs, &stored, (plan, rejected))
}

/// The model was deleted and created anew with another engine, while policies are in force by
/// sidecars that were made for the former one.
fn another_engine(inputs: &Inputs, stored: &Stored) -> Option<Rejection> {
    let (model, injection) = (inputs.model.as_ref()?, inputs.injection.as_ref()?);
    injection.spec.container.as_ref()?;
    let deleted = inputs.deleted_uids();
    let policies = &stored.config()?.present.config.policies;
    let in_force = policies.iter().any(|policy| !deleted.contains(&policy.uid));
    let of_vllm = model.spec.engine == ModelEngine::Vllm;
    let message = format!(
        "PersonaModel `{}` was created anew with another engine, and pods are injected for the \
         former one: delete the policies that use it in this namespace, and create them again.",
        inputs.scope.model
    );
    (in_force && injection.spec.server.is_some() != of_vllm)
        .then(|| Rejection::new(reason::PLACEMENT_INVALID, message))
}

const UNREADABLE_CONFIG: &str = "The config of this model in this namespace was written by another \
    version and cannot be read, so it stays as it is: upgrade the operator.";

/// What is said of a policy whose pods must not start.
const NO_POD_STARTS: &str = " Until then no pod that it selects starts, since it fails closed.";

fn validated(
    inputs: &Inputs,
    stored: &Stored,
    (plan, mut rejected): (Plan, BTreeMap<String, Rejection>),
) -> Validated {
    let refused = refused(inputs, stored, &plan);
    for policy in refused.iter().flatten() {
        if let Some(rejection) = rejected.get_mut(&policy.name_any()) {
            rejection.message.push_str(NO_POD_STARTS);
        }
    }
    Validated {
        scope: inputs.scope.clone(),
        settings: Arc::clone(&inputs.settings),
        authorities: inputs.authorities.clone(),
        plan,
        refused,
        rejected,
    }
}

/// Where nothing is injected any more, pods that have a sidecar go on with what is in force.
fn excluded(
    inputs: &Inputs,
    stored: &Stored,
    why: &Rejection,
) -> (Plan, BTreeMap<String, Rejection>) {
    let reject = |policy: &Arc<PersonaPolicy>| {
        (policy.name_any(), hold::rejection(inputs, stored.config(), policy, why))
    };
    let rejected = inputs.policies.iter().map(reject).collect();
    if inputs.policies.is_empty() || !pods_run(inputs) {
        return (Plan::Withdraw(leftover(inputs, stored)), rejected);
    }
    (hold::in_force(inputs, stored, false), rejected)
}

/// A pod that cannot be read may have a sidecar.
fn pods_run(inputs: &Inputs) -> bool {
    inputs.sidecar_pods().next().is_some() || !inputs.unreadable_pods.is_empty()
}

fn leftover(inputs: &Inputs, stored: &Stored) -> Leftover {
    match stored {
        _ if !pods_run(inputs) => Leftover::Nothing,
        Stored::Absent => Leftover::Nothing,
        Stored::Unreadable => Leftover::Unreadable,
        Stored::Read(stored) => {
            let former = stored
                .former
                .iter()
                .map(|(identity, old)| (identity.clone(), old.clone().emptied()));
            let (present, former) = (stored.present.clone().emptied(), former.collect());
            Leftover::Emptied(Box::new(StoredConfig { present, former }))
        }
    }
}

/// Configs for pods that were made for former weights of the model, as they were when it changed,
/// without policies that are being deleted. A pod that failed to load its weights gets the present
/// ones.
fn former(
    inputs: &Inputs,
    model: &PersonaModel,
    stored: Option<&StoredConfig>,
) -> BTreeMap<String, Edition> {
    let present = resolve::served_model(model).identity();
    let failed = |pod: &PodView| {
        inputs.reports.get(&pod.uid).is_some_and(|report| report.state == PodState::Failed)
    };
    let pods = inputs.sidecar_pods().filter(|pod| !failed(pod));
    let needed: BTreeSet<&String> = pods.filter_map(|pod| pod.identity.as_ref()).collect();
    let former = stored.into_iter().flat_map(StoredConfig::editions);
    former
        .filter(|(identity, _)| *identity != present && needed.contains(identity))
        .map(|(identity, old)| (identity, old.clone().without(&inputs.deleted_uids())))
        .collect()
}

/// Tells sidecars which policies are not in force. The pods that those select are unguarded, or
/// refused if the policy fails closed.
fn list_unresolved(resolution: &mut Resolution, inputs: &Inputs) {
    let not_in_force =
        inputs.policies.iter().filter(|policy| !resolution.kept.contains_key(&policy.name_any()));
    let unresolved = not_in_force.filter_map(|policy| {
        resolve::unresolved(policy, resolution.rejected.get(&policy.name_any())?)
    });
    resolution.config.unresolved = unresolved.collect();
    resolution.config.unresolved.sort_by(|a, b| a.name.cmp(&b.name));
}

#[cfg(test)]
mod tests;
