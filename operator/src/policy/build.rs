//! Step 3: the objects of a scope as they should be. Pure.

use super::dereference::Inputs;
use super::sidecar;
use super::validate::Verdicts;
use crate::context::Context;
use crate::settings::Settings;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use personaguard_api::{
    Digest, FailurePolicy, Mode, PersonaInjection, PersonaInjectionSpec, PersonaModel,
    PersonaPolicy, names,
};
use personaguard_persona::write_vector_bundle;
use personaguard_resolve as resolve;
use personaguard_wire::GuardConfig;
use std::collections::BTreeMap;

/// What should be there.
#[derive(Debug)]
pub(crate) struct Desired {
    pub(crate) config: Wanted<ConfigMap>,
    pub(crate) injection: Wanted<PersonaInjection>,
}

/// One object as it should be.
#[derive(Debug)]
pub(crate) enum Wanted<T> {
    /// Like this.
    Exactly(Box<T>),
    /// As it is, whatever that is.
    Unchanged,
    /// Not there.
    Absent,
}

pub(super) fn build(
    context: &Context,
    inputs: &Inputs,
    verdicts: &Verdicts,
) -> Result<Desired, String> {
    desired(&context.settings, &context.authorities(), inputs, verdicts)
}

pub(super) fn desired(
    settings: &Settings,
    authorities: &str,
    inputs: &Inputs,
    verdicts: &Verdicts,
) -> Result<Desired, String> {
    let in_use = inputs.guarded_pods().next().is_some();
    if inputs.policies.is_empty() || inputs.excluded.is_some() {
        let config = match (in_use, &inputs.config_map) {
            // Sidecars that are still there go on serving, and enforce nothing.
            (true, Some(map)) => withdrawn(map, authorities)?,
            (true, None) | (false, _) => Wanted::Absent,
        };
        return Ok(Desired { config, injection: Wanted::Absent });
    }
    let (Some(config), Some(model)) = (&verdicts.config, &inputs.model) else {
        return Ok(Desired { config: Wanted::Unchanged, injection: Wanted::Unchanged });
    };
    let config = config_map(&inputs.scope.namespace, config, &verdicts.layers, authorities)?;
    let injection = injection(settings, inputs, model)?;
    Ok(Desired {
        config: Wanted::Exactly(Box::new(config)),
        injection: injection
            .map_or(Wanted::Absent, |injection| Wanted::Exactly(Box::new(injection))),
    })
}

/// The config without policies.
fn withdrawn(map: &ConfigMap, authorities: &str) -> Result<Wanted<ConfigMap>, String> {
    let text = map.data.as_ref().and_then(|data| data.get(names::CONFIG_FILE));
    let Some(mut config) = text.and_then(|text| GuardConfig::from_yaml(text.as_bytes()).ok())
    else {
        return Ok(Wanted::Unchanged);
    };
    config.policies.clear();
    config.unresolved.clear();
    config.vectors.clear();
    let namespace = map.metadata.namespace.clone().unwrap_or_default();
    Ok(Wanted::Exactly(Box::new(config_map(&namespace, &config, &BTreeMap::new(), authorities)?)))
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

/// Also for policies that are not enforced (yet): a pod that starts meanwhile has its sidecar when
/// they are. Their selectors parse, or nothing selects by them.
fn injection(
    settings: &Settings,
    inputs: &Inputs,
    model: &PersonaModel,
) -> Result<Option<PersonaInjection>, String> {
    let parses =
        |selector: &LabelSelector| kube::core::Selector::try_from(selector.clone()).is_ok();
    // A policy that goes with no other's placement is refused: nothing is injected for it.
    let misplaced = resolve::misplaced(inputs.policies.iter().map(AsRef::as_ref));
    let placed =
        inputs.policies.iter().filter(|policy| !misplaced.contains_key(&policy.name_any()));
    let port = placed.clone().find_map(|policy| policy.spec.port.clone());
    let mut selectors: Vec<_> =
        placed.clone().map(|policy| &policy.spec.selector).filter(|s| parses(s)).collect();
    selectors.dedup();
    let closed = |policy: &&PersonaPolicy| {
        policy.spec.failure_policy == FailurePolicy::Closed && policy.spec.mode == Mode::Enforce
    };
    let mut closed: Vec<_> = placed
        .map(AsRef::as_ref)
        .filter(closed)
        .map(|policy| &policy.spec.selector)
        .filter(|s| parses(s))
        .collect();
    closed.dedup();
    if selectors.is_empty() {
        return Ok(None);
    }
    let spec = PersonaInjectionSpec {
        selectors: selectors.into_iter().cloned().collect(),
        closed_selectors: closed.into_iter().cloned().collect(),
        container: sidecar::container(settings, model, port.as_deref())
            .map_err(|error| error.to_string())?,
        volumes: sidecar::volumes(model).map_err(|error| error.to_string())?,
        env: if port.is_none() { sidecar::environment() } else { Vec::new() },
        takeover: port,
    };
    let name = names::for_model(&inputs.scope.model);
    let mut injection = PersonaInjection::new(&name, spec);
    injection.metadata = metadata(&inputs.scope.namespace, &inputs.scope.model);
    Ok(Some(injection))
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

/// Digest of what a sidecar reads of a config: how pods are told of a change.
pub(super) fn digest(map: &ConfigMap) -> Digest {
    let text = map.data.as_ref().and_then(|data| data.get(names::CONFIG_FILE));
    // Digests of the vectors stand in the text.
    Digest::of(text.map(String::as_bytes).unwrap_or_default())
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
