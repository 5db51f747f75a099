//! Step 4: writes what differs from the stored objects. A write that fails keeps no other from
//! being tried.

mod anew;
mod refresh;

use super::build::{Desired, DesiredState};
use super::dereference::Inputs;
use super::validate::Validated;
use crate::context::Context;
use crate::outcome::{FailedWrites, NotLeader, WriteError};
use anew::apply_or_make_anew;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::core::ObjectMeta;
use personaguard_api::{Digest, PersonaInjection, names};
use refresh::refresh_mounts;
use std::sync::Arc;

pub(super) async fn apply(
    context: &Context,
    inputs: &Inputs,
    validated: &Validated,
    desired: &DesiredState,
    failed: &mut FailedWrites,
) -> Result<(), NotLeader> {
    // An injected pod mounts the config, so the config is written before the injection, and deleted
    // after it.
    if matches!(desired.injection, Desired::Absent) {
        failed.keep(delete_injection(context, inputs).await)?;
    }
    let written = failed.keep(apply_config(context, inputs, &desired.config).await)?;
    let (config, changed) = written.unwrap_or_else(|| (inputs.config_map.clone(), false));
    if let Desired::Present(injection) = &desired.injection
        && config.is_some()
    {
        failed.keep(apply_injection(context, inputs, injection).await)?;
    }
    match config {
        Some(config) => refresh_mounts(context, inputs, validated, &config, changed, failed).await,
        None => Ok(()),
    }
}

async fn delete_injection(context: &Context, inputs: &Inputs) -> Result<(), WriteError> {
    let Some(injection) = &inputs.injection else { return Ok(()) };
    let api: Api<PersonaInjection> = context.cluster.namespaced(&inputs.scope.namespace);
    let name = injection.metadata.name.clone().unwrap_or_default();
    context.cluster.delete(&api, &name).await?;
    tracing::info!(namespace = inputs.scope.namespace, name, "an injection was deleted");
    Ok(())
}

/// Returns the config as it is now, and whether what sidecars read of it changed.
async fn apply_config(
    context: &Context,
    inputs: &Inputs,
    desired: &Desired<ConfigMap>,
) -> Result<(Option<Arc<ConfigMap>>, bool), WriteError> {
    let namespace = &inputs.scope.namespace;
    let api: Api<ConfigMap> = context.cluster.namespaced(namespace);
    let name = names::for_model(&inputs.scope.model);
    let stored = inputs.config_map.as_ref();
    match desired {
        Desired::Unchanged => Ok((stored.cloned(), false)),
        Desired::Absent => {
            if stored.is_some() {
                context.cluster.delete(&api, &name).await?;
                tracing::info!(namespace, name, "a config without pods was deleted");
            }
            Ok((None, false))
        }
        Desired::Present(map) if stored.is_some_and(|stored| same_config(stored, map)) => {
            Ok((stored.cloned(), false))
        }
        Desired::Present(map) => {
            let right = |it: &ConfigMap| same_config(it, map);
            let stored_map = stored.map(AsRef::as_ref);
            let written = apply_or_make_anew(context, &api, stored_map, map, right).await?;
            context.stores.config_maps.upsert_written(written.clone(), Some);
            let digest = config_digest(&written);
            tracing::info!(namespace, name, digest = digest.short(), "a config was written");
            let changed = stored.is_none_or(|stored| config_digest(stored) != digest);
            Ok((Some(Arc::new(written)), changed))
        }
    }
}

async fn apply_injection(
    context: &Context,
    inputs: &Inputs,
    injection: &PersonaInjection,
) -> Result<(), WriteError> {
    let same = |stored: &PersonaInjection| {
        stored.spec == injection.spec && has_labels(&stored.metadata, &injection.metadata)
    };
    let stored = inputs.injection.as_deref();
    if stored.is_some_and(same) {
        return Ok(());
    }
    let namespace = &inputs.scope.namespace;
    let api: Api<PersonaInjection> = context.cluster.namespaced(namespace);
    let name = names::for_model(&inputs.scope.model);
    let written = apply_or_make_anew(context, &api, stored, injection, same).await?;
    context.stores.injections.upsert_written(written, Some);
    tracing::info!(namespace, name, "an injection was written");
    Ok(())
}

fn same_config(stored: &ConfigMap, desired: &ConfigMap) -> bool {
    stored.immutable != Some(true)
        && stored.data == desired.data
        && stored.binary_data == desired.binary_data
        && has_labels(&stored.metadata, &desired.metadata)
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
