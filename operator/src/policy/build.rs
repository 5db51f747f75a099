//! Step 3: the objects of a scope as they should be. Pure.

mod server;
mod sidecar;

use super::stored::Edition;
use super::validate::{Guard, Leftover, Plan, Validated};
use crate::keys::Scope;
use crate::settings::Settings;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use kube::core::{ObjectMeta, Selector};
use personaguard_api::{
    FailurePolicy, Mode, ModelEngine, PersonaInjection, PersonaInjectionSpec, PersonaPolicy,
    label_selector, names,
};
use personaguard_persona::write_vector_bundle;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct DesiredState {
    pub(crate) config: Desired<ConfigMap>,
    pub(crate) injection: Desired<PersonaInjection>,
}

/// One object as it should be.
#[derive(Debug)]
pub(crate) enum Desired<T> {
    Present(Box<T>),
    /// Whatever it is now.
    Unchanged,
    Absent,
}

/// `stored` is the config in force.
pub(super) fn build(
    validated: &Validated,
    stored: Option<&ConfigMap>,
) -> Result<DesiredState, String> {
    let Validated { scope, settings, authorities, plan, refused, .. } = validated;
    let map = |present: &Edition, former: &BTreeMap<String, Edition>| {
        config_map(&scope.namespace, present, former, authorities).map(present_object)
    };
    Ok(match plan {
        Plan::Guard(guard) => {
            let injection = injection(settings, &scope.namespace, guard, refused.as_deref())?;
            let present = Edition { config: guard.config.clone(), layers: guard.layers.clone() };
            DesiredState {
                config: if !injects(injection.as_ref()) && !guard.pods_run {
                    Desired::Absent
                } else {
                    map(&present, &guard.former)?
                },
                injection: injection.map_or(Desired::Absent, present_object),
            }
        }
        Plan::Hold(held) => DesiredState {
            config: match (&held.config, stored) {
                (Some(config), _) if held.changed => map(&config.present, &config.former)?,
                (Some(_), Some(stored)) => present_object(same_text(stored, authorities)),
                _ => Desired::Unchanged,
            },
            injection: match (held.injection.as_deref(), refused) {
                _ if !held.injects => Desired::Absent,
                (injection, Some(refused)) => held_injection(scope, injection, refused),
                (Some(injection), None) => same_injection(injection, injection.spec.clone()),
                (None, None) => Desired::Unchanged,
            },
        },
        Plan::Withdraw(leftover) => DesiredState {
            config: match leftover {
                Leftover::Nothing => Desired::Absent,
                Leftover::Emptied(config) => map(&config.present, &config.former)?,
                Leftover::Unreadable => Desired::Unchanged,
            },
            injection: Desired::Absent,
        },
    })
}

/// Whether it gives pods a sidecar, and does not only keep some from starting.
fn injects(injection: Option<&PersonaInjection>) -> bool {
    injection.is_some_and(|injection| injection.spec.container.is_some())
}

fn present_object<T>(object: T) -> Desired<T> {
    Desired::Present(Box::new(object))
}

/// What is injected stays as it is, and pods of the refused policies do not start.
fn held_injection(
    scope: &Scope,
    stored: Option<&PersonaInjection>,
    refused: &[Arc<PersonaPolicy>],
) -> Desired<PersonaInjection> {
    let mut spec = stored.map(|stored| stored.spec.clone()).unwrap_or_default();
    // Selectors of policies that were refused before select nothing to be injected.
    let selectors = &spec.selectors;
    spec.closed_selectors.retain(|selector| selectors.contains(selector));
    add_selectors(&mut spec.closed_selectors, refused.iter().map(|it| it.spec.selector.clone()));
    match stored {
        _ if spec.selectors.is_empty() && spec.closed_selectors.is_empty() => match stored {
            Some(_) => Desired::Absent,
            None => Desired::Unchanged,
        },
        Some(stored) => same_injection(stored, spec),
        None => present_object(injection_of(&scope.namespace, &scope.model, spec)),
    }
}

fn same_injection(
    stored: &PersonaInjection,
    spec: PersonaInjectionSpec,
) -> Desired<PersonaInjection> {
    let mut injection = PersonaInjection::new(&stored.name_any(), spec);
    injection.metadata.namespace = stored.namespace();
    injection.metadata.labels = stored.metadata.labels.clone();
    present_object(injection)
}

/// The stored config to the letter, with the authorities that are trusted now.
fn same_text(stored: &ConfigMap, authorities: &str) -> ConfigMap {
    let mut data = stored.data.clone().unwrap_or_default();
    data.insert(names::CA_FILE.to_owned(), authorities.to_owned());
    let metadata = ObjectMeta {
        name: stored.metadata.name.clone(),
        namespace: stored.metadata.namespace.clone(),
        labels: stored.metadata.labels.clone(),
        ..ObjectMeta::default()
    };
    let binary_data = stored.binary_data.clone();
    ConfigMap { metadata, data: Some(data), binary_data, ..ConfigMap::default() }
}

fn config_map(
    namespace: &str,
    present: &Edition,
    former: &BTreeMap<String, Edition>,
    authorities: &str,
) -> Result<ConfigMap, String> {
    let mut data = BTreeMap::from([(names::CA_FILE.to_owned(), authorities.to_owned())]);
    let mut binary_data = BTreeMap::new();
    let mut add = |edition: &Edition, config: String, vectors: String| {
        data.insert(config, edition.config.to_yaml().map_err(|error| error.to_string())?);
        if !edition.layers.is_empty() {
            let layers = &edition.layers;
            let layers =
                layers.iter().map(|(name, values)| (name.clone(), values.as_slice())).collect();
            let file = write_vector_bundle(&layers).map_err(|error| error.to_string())?;
            binary_data.insert(vectors, ByteString(file));
        }
        Ok::<_, String>(())
    };
    add(present, names::CONFIG_FILE.to_owned(), names::VECTORS_FILE.to_owned())?;
    for (identity, edition) in former {
        add(edition, names::former_config(identity), names::former_vectors(identity))?;
    }
    Ok(ConfigMap {
        metadata: metadata(namespace, &present.config.model.name),
        data: Some(data),
        binary_data: (!binary_data.is_empty()).then_some(binary_data),
        ..ConfigMap::default()
    })
}

/// `None` if no policy has a selector that parses. Without a container, if policies fail closed and
/// nothing can be injected for any.
fn injection(
    settings: &Settings,
    namespace: &str,
    guard: &Guard,
    refused: Option<&[Arc<PersonaPolicy>]>,
) -> Result<Option<PersonaInjection>, String> {
    let name = &guard.config.model.name;
    let refused = refused.into_iter().flatten().map(|policy| policy.spec.selector.clone());
    let selectors = selectors(guard, |_, _| true);
    if selectors.is_empty() {
        let mut spec = PersonaInjectionSpec::default();
        add_selectors(&mut spec.closed_selectors, refused);
        let keeps = !spec.closed_selectors.is_empty();
        return Ok(keeps.then(|| injection_of(namespace, name, spec)));
    }
    let fails_closed =
        |mode, failure_policy| failure_policy == FailurePolicy::Closed && mode == Mode::Enforce;
    let model = &guard.model;
    let port = match guard.injecting.as_slice() {
        [] => guard.takeover.clone(),
        injecting => injecting.iter().find_map(|policy| policy.spec.port.clone()),
    };
    let identity = guard.config.model.identity();
    let mut closed_selectors = self::selectors(guard, fails_closed);
    add_selectors(&mut closed_selectors, refused);
    let container = sidecar::container(settings, model, &identity, port.as_deref())
        .map_err(|error| error.to_string())?;
    let spec = PersonaInjectionSpec {
        selectors,
        closed_selectors,
        container: Some(container),
        volumes: sidecar::volumes(model).map_err(|error| error.to_string())?,
        env: if port.is_none() { sidecar::app_environment() } else { Vec::new() },
        takeover: port,
        server: (model.spec.engine == ModelEngine::Vllm).then(server::parts),
    };
    Ok(Some(injection_of(namespace, name, spec)))
}

fn injection_of(namespace: &str, model: &str, spec: PersonaInjectionSpec) -> PersonaInjection {
    let mut injection = PersonaInjection::new(&names::for_model(model), spec);
    injection.metadata = metadata(namespace, model);
    injection
}

/// Selectors of the policies for which `filter` holds, as they are written and as they stay in
/// force.
fn selectors(guard: &Guard, filter: impl Fn(Mode, FailurePolicy) -> bool) -> Vec<LabelSelector> {
    let written = guard.injecting.iter().map(|policy| {
        let spec = &policy.spec;
        (spec.mode, spec.failure_policy, spec.selector.clone())
    });
    let kept = guard
        .kept
        .iter()
        .map(|policy| (policy.mode, policy.failure_policy, label_selector(&policy.selector)));
    let mut selectors = Vec::new();
    let chosen = written.chain(kept).filter(|(mode, policy, _)| filter(*mode, *policy));
    add_selectors(&mut selectors, chosen.map(|(_, _, selector)| selector));
    selectors
}

/// Each once. One that does not parse is left out.
fn add_selectors(to: &mut Vec<LabelSelector>, selectors: impl Iterator<Item = LabelSelector>) {
    for selector in selectors {
        if Selector::try_from(selector.clone()).is_ok() && !to.contains(&selector) {
            to.push(selector);
        }
    }
}

fn metadata(namespace: &str, model: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::for_model(model)),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([
            (names::MODEL_LABEL.to_owned(), model.to_owned()),
            (names::MANAGED_BY_LABEL.to_owned(), names::FIELD_MANAGER.to_owned()),
        ])),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests;
