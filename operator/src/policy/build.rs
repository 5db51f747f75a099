//! Step 3: the objects of a scope as they should be. Pure.

mod sidecar;

use super::validate::{Guard, Leftover, Plan, Validated};
use crate::settings::Settings;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{ObjectMeta, Selector};
use personaguard_api::{
    FailurePolicy, Mode, PersonaInjection, PersonaInjectionSpec, PersonaPolicy, names,
};
use personaguard_persona::write_vector_bundle;
use personaguard_wire::GuardConfig;
use std::collections::BTreeMap;

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

pub(super) fn build(validated: &Validated) -> Result<DesiredState, String> {
    let Validated { scope, settings, authorities, plan, .. } = validated;
    let namespace = &scope.namespace;
    Ok(match plan {
        Plan::Guard(guard) => DesiredState {
            config: present(config_map(namespace, &guard.config, &guard.layers, authorities)?),
            injection: match injection(settings, namespace, guard)? {
                Some(injection) => present(injection),
                None => Desired::Absent,
            },
        },
        Plan::Keep => DesiredState { config: Desired::Unchanged, injection: Desired::Unchanged },
        Plan::Withdraw(leftover) => DesiredState {
            config: match leftover {
                Leftover::Nothing => Desired::Absent,
                Leftover::Emptied(config) => {
                    present(config_map(namespace, config, &BTreeMap::new(), authorities)?)
                }
                Leftover::Unreadable => Desired::Unchanged,
            },
            injection: Desired::Absent,
        },
    })
}

fn present<T>(object: T) -> Desired<T> {
    Desired::Present(Box::new(object))
}

fn config_map(
    namespace: &str,
    config: &GuardConfig,
    layers: &BTreeMap<String, Vec<f32>>,
    authorities: &str,
) -> Result<ConfigMap, String> {
    let text = config.to_yaml().map_err(|error| error.to_string())?;
    let borrowed = layers.iter().map(|(name, values)| (name.clone(), values.as_slice())).collect();
    let file = write_vector_bundle(&borrowed).map_err(|error| error.to_string())?;
    Ok(ConfigMap {
        metadata: metadata(namespace, &config.model.name),
        data: Some(BTreeMap::from([
            (names::CONFIG_FILE.to_owned(), text),
            (names::CA_FILE.to_owned(), authorities.to_owned()),
        ])),
        binary_data: (!layers.is_empty())
            .then(|| BTreeMap::from([(names::VECTORS_FILE.to_owned(), ByteString(file))])),
        ..ConfigMap::default()
    })
}

/// `None` if no policy has a selector that parses.
fn injection(
    settings: &Settings,
    namespace: &str,
    guard: &Guard,
) -> Result<Option<PersonaInjection>, String> {
    let fails_closed = |policy: &PersonaPolicy| {
        policy.spec.failure_policy == FailurePolicy::Closed && policy.spec.mode == Mode::Enforce
    };
    let selectors = selectors(guard, |_| true);
    if selectors.is_empty() {
        return Ok(None);
    }
    let model = &guard.model;
    let port = guard.injecting.iter().find_map(|policy| policy.spec.port.clone());
    let spec = PersonaInjectionSpec {
        selectors,
        closed_selectors: self::selectors(guard, fails_closed),
        container: sidecar::container(settings, model, port.as_deref())
            .map_err(|error| error.to_string())?,
        volumes: sidecar::volumes(model).map_err(|error| error.to_string())?,
        env: if port.is_none() { sidecar::app_environment() } else { Vec::new() },
        takeover: port,
    };
    let name = &guard.config.model.name;
    let mut injection = PersonaInjection::new(&names::for_model(name), spec);
    injection.metadata = metadata(namespace, name);
    Ok(Some(injection))
}

/// Selectors of the policies for which `filter` holds. One that does not parse is left out.
fn selectors(guard: &Guard, filter: impl Fn(&PersonaPolicy) -> bool) -> Vec<LabelSelector> {
    let policies = guard.injecting.iter().filter(|policy| filter(policy));
    let selectors = policies.map(|policy| &policy.spec.selector);
    let mut selectors: Vec<_> =
        selectors.filter(|selector| Selector::try_from((*selector).clone()).is_ok()).collect();
    selectors.dedup();
    selectors.into_iter().cloned().collect()
}

fn metadata(namespace: &str, model: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::for_model(model)),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([
            (names::MODEL_LABEL.to_owned(), model.to_owned()),
            ("app.kubernetes.io/managed-by".to_owned(), names::FIELD_MANAGER.to_owned()),
        ])),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
