//! Resolves the policies of a scope, as many of them as fit a ConfigMap. What is in force stays in
//! force until something else can be: an edit that cannot be enforced, alone or beside the others,
//! changes nothing. Pure.

use super::choice::Choice;
use super::strays::Stray;
use crate::policy::dereference::Inputs;
use crate::policy::stored::{Edition, InForce};
use crate::vector::CheckedArtifact;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaPolicy, Placement};
use personaguard_resolve::{self as resolve, Rejection};
use personaguard_wire::{GuardConfig, ResolvedPolicy};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Resolution {
    pub(super) config: GuardConfig,
    /// The vectors that the config uses, at their layer.
    pub(super) layers: BTreeMap<String, Vec<f32>>,
    pub(super) rejected: BTreeMap<String, Rejection>,
    /// Rejected policies whose placement is invalid, or conflicts with that of one in force.
    pub(super) misplaced: BTreeSet<String>,
    /// Policies that stay in force as they were, by name.
    pub(super) kept: BTreeMap<String, ResolvedPolicy>,
}

/// A policy: as it is written, and as it is in force.
struct Candidate {
    name: String,
    new: Result<ResolvedPolicy, Rejection>,
    previous: Option<InForce>,
}

/// `previous` is what sidecars of the model have now. `reserved` bytes of the ConfigMap are taken.
pub(super) fn resolve_scope(
    inputs: &Inputs,
    model: &PersonaModel,
    previous: Option<&Edition>,
    strays: &[Stray<'_>],
    reserved: usize,
) -> Resolution {
    let vectors = inputs.vector_inputs();
    let misplaced = misplaced(inputs, model, previous);
    let in_force = |policy: &PersonaPolicy| {
        previous?.in_force(policy.metadata.uid.as_deref().unwrap_or_default())
    };
    let mut oldest_first: Vec<_> = inputs.policies.iter().collect();
    oldest_first.sort_by_key(|policy| resolve::age(policy));
    let mut candidates: Vec<Candidate> = oldest_first
        .into_iter()
        .map(|policy| Candidate {
            name: policy.name_any(),
            new: match misplaced.get(&policy.name_any()) {
                Some(rejection) => Err(rejection.clone()),
                None => vectors_ready(policy, &inputs.vectors)
                    .and_then(|()| resolve::resolve_policy(policy, model, &vectors)),
            },
            previous: in_force(policy),
        })
        .collect();
    candidates.extend(strays.iter().map(|stray| Candidate {
        name: stray.policy.name_any(),
        new: Err(stray.rejection()),
        previous: in_force(stray.policy),
    }));
    let (choice, mut rejected) = choose(&candidates, Choice::new(model, &vectors, reserved));
    let kept: BTreeMap<_, _> = choice.kept().map(|old| (old.name.clone(), old.clone())).collect();
    for (name, rejection) in &mut rejected {
        if let Some(old) = kept.get(name) {
            let note = format!(" Generation {} stays in force meanwhile.", old.generation);
            rejection.message.push_str(&note);
        }
    }
    let (config, layers) = choice.assemble();
    let misplaced = misplaced.into_keys().collect();
    Resolution { config, layers, rejected, misplaced, kept }
}

/// What is to be in force, and why the others are not.
fn choose<'a>(
    candidates: &[Candidate],
    nothing: Choice<'a>,
) -> (Choice<'a>, BTreeMap<String, Rejection>) {
    let mut rejected: BTreeMap<String, Rejection> = candidates
        .iter()
        .filter_map(|it| Some((it.name.clone(), it.new.as_ref().err()?.clone())))
        .collect();
    // As everything is written, the oldest first.
    let mut choice = nothing.clone();
    for candidate in candidates.iter().filter(|it| it.new.is_err()) {
        choice.keep(candidate.previous.as_ref());
    }
    let mut lost = BTreeMap::new();
    for candidate in candidates {
        let Ok(new) = &candidate.new else { continue };
        if let Err(rejection) = choice.add(new) {
            lost.insert(&candidate.name, rejection);
        }
    }
    let loses = |it: &&Candidate| lost.contains_key(&it.name) && it.previous.is_some();
    if candidates.iter().find(loses).is_none() {
        rejected.extend(lost.into_iter().map(|(name, rejection)| (name.clone(), rejection)));
        return (choice, rejected);
    }
    // That would cost one its enforcement. So what is in force stands, and each edit that goes
    // beside it takes its place.
    let mut choice = nothing;
    for candidate in candidates {
        choice.keep(candidate.previous.as_ref());
    }
    for candidate in candidates {
        let Ok(new) = &candidate.new else { continue };
        if let Err(rejection) = choice.replace(new) {
            rejected.insert(candidate.name.clone(), rejection);
        }
    }
    (choice, rejected)
}

/// Policies whose placement does not go with the model's engine, or is another than that of the
/// sidecars that are injected for a policy in force, or else than that of the oldest policy.
fn misplaced(
    inputs: &Inputs,
    model: &PersonaModel,
    previous: Option<&Edition>,
) -> BTreeMap<String, Rejection> {
    let in_force = |policy: &PersonaPolicy| {
        let uid = policy.metadata.uid.as_deref().unwrap_or_default();
        previous.is_some_and(|previous| previous.policy(uid).is_some())
    };
    let injection =
        inputs.injection.as_ref().filter(|_| inputs.policies.iter().any(|it| in_force(it)));
    let Some(injection) = injection else {
        return resolve::misplaced(model, inputs.policies.iter().map(AsRef::as_ref));
    };
    let port = injection.spec.takeover.as_ref();
    let placement = match (port, &injection.spec.server) {
        (None, _) => Placement::Serve,
        (Some(_), None) => Placement::Proxy,
        (Some(_), Some(_)) => Placement::Engine,
    };
    let on_port = port.map(|port| format!(" on port `{port}`")).unwrap_or_default();
    let message = format!(
        "policies in force for this model have placement {placement:?}{on_port}, and pods are \
         injected once: use the same, or another namespace"
    );
    let rejection = |policy: &PersonaPolicy| {
        let fits = resolve::fits_engine(policy, model);
        let same = (policy.spec.placement, policy.spec.port.as_ref()) == (placement, port);
        let conflict = || Rejection::new(reason::PLACEMENT_CONFLICT, message.clone());
        fits.err().or_else(|| (!same).then(conflict))
    };
    let policies = inputs.policies.iter();
    policies.filter_map(|policy| Some((policy.name_any(), rejection(policy)?))).collect()
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
