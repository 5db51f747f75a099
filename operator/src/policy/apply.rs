//! Step 4: writes what differs from the stored objects. A write that fails keeps no other from
//! being tried.

mod refresh;

use super::build::{Desired, DesiredState};
use super::dereference::Inputs;
use super::memory::Memory;
use super::validate::Validated;
use crate::context::Context;
use crate::objects::same_content;
use crate::outcome::{FailedWrites, NotLeader, WriteError};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::core::ObjectMeta;
use personaguard_api::{Digest, PersonaInjection, PersonaInjectionSpec, names};
use refresh::refresh_mounts;
use std::sync::Arc;

pub(super) async fn apply(
    context: &Context,
    memory: &Memory,
    inputs: &Inputs,
    validated: &Validated,
    desired: &DesiredState,
    failed: &mut FailedWrites,
) -> Result<(), NotLeader> {
    // An injected pod mounts the config, so the config is written before the injection, and deleted
    // after it: never while pods are still injected.
    let mut withdrawn = true;
    if matches!(desired.injection, Desired::Absent) {
        withdrawn = failed.keep(delete_injection(context, memory, inputs).await)?.is_some();
    }
    let config = match &desired.config {
        Desired::Absent if !withdrawn => &Desired::Unchanged,
        config => config,
    };
    let written = failed.keep(apply_config(context, memory, inputs, config).await)?;
    let refused = written.is_none();
    let (config, changed) = written.unwrap_or_else(|| (inputs.found.config_map.clone(), false));
    // Without a config no sidecar is injected; to say which pods must not start needs none.
    if let Desired::Present(injection) = &desired.injection
        && (config.is_some() || injection.spec.container.is_none())
    {
        let mut injection = injection.as_ref().clone();
        if refused
            && let Some(known) = &inputs.injection
            && known.spec.container.is_some()
        {
            keep_sidecar(&mut injection, known);
        }
        failed.keep(apply_injection(context, memory, inputs, &injection).await)?;
    }
    match config {
        Some(config) => refresh_mounts(context, inputs, validated, &config, changed, failed).await,
        None => Ok(()),
    }
}

/// While the config cannot be written, new pods get the sidecar that fits the one that is there.
fn keep_sidecar(injection: &mut PersonaInjection, known: &PersonaInjection) {
    let PersonaInjectionSpec { selectors, closed_selectors, .. } = injection.spec.clone();
    injection.spec = PersonaInjectionSpec { selectors, closed_selectors, ..known.spec.clone() };
}

async fn delete_injection(
    context: &Context,
    memory: &Memory,
    inputs: &Inputs,
) -> Result<(), WriteError> {
    if let Some(injection) = &inputs.found.injection {
        let api: Api<PersonaInjection> = context.cluster.namespaced(&inputs.scope.namespace);
        let name = injection.metadata.name.clone().unwrap_or_default();
        context.cluster.delete(&api, &name).await?;
        tracing::info!(namespace = inputs.scope.namespace, name, "an injection was deleted");
    }
    memory.injection_is(&inputs.scope, None);
    Ok(())
}

/// Returns the config as it is now, and whether what sidecars read of it changed.
async fn apply_config(
    context: &Context,
    memory: &Memory,
    inputs: &Inputs,
    desired: &Desired<ConfigMap>,
) -> Result<(Option<Arc<ConfigMap>>, bool), WriteError> {
    let namespace = &inputs.scope.namespace;
    let api: Api<ConfigMap> = context.cluster.namespaced(namespace);
    let name = names::for_model(&inputs.scope.model);
    let found = inputs.found.config_map.as_ref();
    let (now, changed) = match desired {
        Desired::Unchanged => return Ok((found.cloned(), false)),
        Desired::Absent => {
            if found.is_some() {
                context.cluster.delete(&api, &name).await?;
                tracing::info!(namespace, name, "a config without pods was deleted");
            }
            (None, false)
        }
        Desired::Present(map) if found.is_some_and(|found| same_config(found, map)) => {
            (found.cloned(), false)
        }
        Desired::Present(map) => {
            let right = |it: &ConfigMap| same_config(it, map);
            let written = context.cluster.apply_or_make_anew(&api, map.as_ref(), right).await?;
            context.stores.config_maps.upsert_written(written.clone(), Some);
            let digest = config_digest(&written);
            tracing::info!(namespace, name, digest = digest.short(), "a config was written");
            let changed = found.is_none_or(|found| config_digest(found) != digest);
            (Some(Arc::new(written)), changed)
        }
    };
    memory.config_is(&inputs.scope, now.clone());
    Ok((now, changed))
}

async fn apply_injection(
    context: &Context,
    memory: &Memory,
    inputs: &Inputs,
    injection: &PersonaInjection,
) -> Result<(), WriteError> {
    let same = |found: &PersonaInjection| {
        found.spec == injection.spec && has_labels(&found.metadata, &injection.metadata)
    };
    let found = inputs.found.injection.as_ref().filter(|found| same(found));
    let now = match found {
        Some(found) => Arc::clone(found),
        None => {
            let namespace = &inputs.scope.namespace;
            let api: Api<PersonaInjection> = context.cluster.namespaced(namespace);
            let name = names::for_model(&inputs.scope.model);
            let written = context.cluster.apply_or_make_anew(&api, injection, same).await?;
            context.stores.injections.upsert_written(written.clone(), Some);
            tracing::info!(namespace, name, "an injection was written");
            Arc::new(written)
        }
    };
    memory.injection_is(&inputs.scope, Some(now));
    Ok(())
}

fn same_config(stored: &ConfigMap, desired: &ConfigMap) -> bool {
    same_content(stored, desired) && has_labels(&stored.metadata, &desired.metadata)
}

/// Whether the stored object has all labels that it should have.
fn has_labels(stored: &ObjectMeta, desired: &ObjectMeta) -> bool {
    let stored = stored.labels.as_ref();
    let mut labels = desired.labels.iter().flatten();
    labels.all(|(key, value)| stored.and_then(|labels| labels.get(key)) == Some(value))
}

/// Digest of what sidecars read of a config. The digests of the vectors are part of the text.
fn config_digest(map: &ConfigMap) -> Digest {
    let texts = map.data.iter().flatten().filter(|(key, _)| *key != names::CA_FILE);
    let texts: Vec<&str> = texts.map(|(_, text)| text.as_str()).collect();
    Digest::of(texts.concat().as_bytes())
}

#[cfg(test)]
mod tests;
