//! The watches: what they tell goes into the caches, and from there to the keys that are due
//! because of it.

use crate::cache::{Cache, Change};
use crate::context::{Context, Key, Scope, World, scope_of};
use crate::pods::{FIELDS, PodView};
use crate::services::ServiceView;
use crate::vector;
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use personaguard_api::{
    DatasetScreen, PersonaInjection, PersonaModel, PersonaPolicy, PersonaReport, PersonaVector,
    Placement, names,
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Below what load balancers before API servers allow an idle connection: 240 s at some clouds.
const TIMEOUT_SECONDS: u32 = 200;

fn config() -> Config {
    Config::default().timeout(TIMEOUT_SECONDS)
}

/// Starts all watches.
pub(crate) fn start(context: &Arc<Context>, tasks: &mut JoinSet<()>) {
    kind::<PersonaModel>(context, tasks, |world| &world.models, model_changed);
    kind::<PersonaVector>(context, tasks, |world| &world.vectors, vector_changed);
    kind::<PersonaPolicy>(context, tasks, |world| &world.policies, policy_changed);
    kind::<PersonaReport>(context, tasks, |world| &world.reports, report_changed);
    kind::<DatasetScreen>(context, tasks, |world| &world.screens, screen_changed);
    kind::<PersonaInjection>(context, tasks, |world| &world.injections, injection_changed);
    let client = || context.cluster.client.clone();
    let ours = config().labels(names::MODEL_LABEL);
    let stream = watcher(Api::<ConfigMap>::all(client()), ours);
    follow(
        context,
        tasks,
        "ConfigMap",
        stream,
        |world| &world.config_maps,
        Some,
        config_map_changed,
    );
    let stream = watcher(Api::<Pod>::all(client()), config().fields(FIELDS));
    follow(
        context,
        tasks,
        "Pod",
        stream,
        |world| &world.pods,
        |pod| Some(PodView::from(pod)),
        pod_changed,
    );
    let stream = watcher(Api::<Service>::all(client()), config());
    follow(
        context,
        tasks,
        "Service",
        stream,
        |world| &world.services,
        ServiceView::of,
        service_changed,
    );
    let muted = config().labels(&format!("{}=disabled", names::INJECTION));
    let stream = watcher(Api::<PartialObjectMeta<Namespace>>::all(client()), muted);
    follow(
        context,
        tasks,
        "Namespace",
        stream,
        |world| &world.muted,
        |_| Some(()),
        namespace_changed,
    );
}

/// Waits until every cache holds what there is.
pub(crate) async fn ready(world: &World) {
    world.models.ready().await;
    world.vectors.ready().await;
    world.policies.ready().await;
    world.reports.ready().await;
    world.screens.ready().await;
    world.injections.ready().await;
    world.config_maps.ready().await;
    world.pods.ready().await;
    world.services.ready().await;
    world.muted.ready().await;
}

/// A kind of ours. An object that does not parse (of another version, say) leaves the one before it
/// in place and holds up no other.
fn kind<K>(
    context: &Arc<Context>,
    tasks: &mut JoinSet<()>,
    cache: fn(&World) -> &Cache<K>,
    changed: fn(&Context, Change<K>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + PartialEq + Send + Sync + 'static,
    K::DynamicType: Default + Clone + Debug + Eq + std::hash::Hash + Unpin,
{
    let api: Api<DeserializeGuard<K>> = Api::all(context.cluster.client.clone());
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let convert = |object: DeserializeGuard<K>| match object.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            tracing::error!(
                name,
                error = invalid.error,
                "an object cannot be read and is left out: is it of a newer version?"
            );
            None
        }
    };
    follow(context, tasks, kind, watcher(api, config()), cache, convert, changed);
}

fn follow<K, V>(
    context: &Arc<Context>,
    tasks: &mut JoinSet<()>,
    kind: impl Into<String>,
    stream: impl futures::Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    cache: fn(&World) -> &Cache<V>,
    convert: fn(K) -> Option<V>,
    changed: fn(&Context, Change<V>),
) where
    K: Resource + Clone + Send + 'static,
    V: PartialEq + Send + Sync + 'static,
{
    let (context, kind) = (Arc::clone(context), kind.into());
    tasks.spawn(async move {
        let stream = stream.default_backoff();
        pin_mut!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    for change in cache(&context.world).feed(event, convert) {
                        changed(&context, change);
                    }
                }
                Err(error) => tracing::warn!(kind, %error, "a watch was interrupted; it goes on"),
            }
        }
    });
}

fn model_changed(context: &Context, change: Change<PersonaModel>) {
    let name = change.name.name;
    vector::push_vectors_of_model(context, &name);
    let spec = |model: &Option<Arc<PersonaModel>>| model.as_ref().map(|model| model.spec.clone());
    if spec(&change.before) != spec(&change.after) {
        context.push_scopes_of_model(&name);
    }
    context.queue.push(Key::Model(name));
}

fn vector_changed(context: &Context, change: Change<PersonaVector>) {
    for vector in [&change.before, &change.after].into_iter().flatten() {
        context.push_scopes_of_model(&vector.spec.model);
        // A policy of another model may name it too.
        let named = |policy: &Arc<PersonaPolicy>| {
            policy.spec.traits.iter().any(|rule| rule.vector == vector.name_any())
        };
        for policy in context.world.policies.all().into_iter().filter(named) {
            context.queue.push(Key::Scope(scope(&policy)));
        }
    }
    context.queue.push(Key::Vector(change.name.name));
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that every watch calls")]
fn policy_changed(context: &Context, change: Change<PersonaPolicy>) {
    // Both: an edit may have moved it from one model to another.
    for policy in [&change.before, &change.after].into_iter().flatten() {
        context.queue.push(Key::Scope(scope(policy)));
    }
    if change.after.is_none() {
        context.metrics.policy_gone(&change.name.namespace, &change.name.name);
    }
    let spec = |policy: &Option<Arc<PersonaPolicy>>| {
        policy
            .as_ref()
            .map(|policy| (policy.spec.clone(), policy.metadata.deletion_timestamp.is_some()))
    };
    if spec(&change.before) != spec(&change.after) {
        context
            .fleet
            .reports_of(&change.name.namespace)
            .into_iter()
            .for_each(|key| context.queue.push(key));
    }
}

fn report_changed(context: &Context, change: Change<PersonaReport>) {
    if change.after.is_none() {
        context.queue.push(Key::Report(change.name.namespace, change.name.name));
    }
}

fn screen_changed(context: &Context, change: Change<DatasetScreen>) {
    context.queue.push(Key::Screen(change.name.namespace, change.name.name));
}

fn injection_changed(context: &Context, change: Change<PersonaInjection>) {
    let object = change.after.or(change.before);
    if let Some(scope) = object.and_then(|object| scope_of(&object.metadata)) {
        context.queue.push(Key::Scope(scope));
    }
}

fn config_map_changed(context: &Context, change: Change<ConfigMap>) {
    let object = change.after.or(change.before);
    if let Some(scope) = object.and_then(|object| scope_of(&object.metadata)) {
        context.queue.push(Key::Scope(scope));
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that every watch calls")]
fn pod_changed(context: &Context, change: Change<PodView>) {
    let namespace = &change.name.namespace;
    let replaced = change
        .before
        .as_ref()
        .filter(|before| change.after.as_ref().is_none_or(|after| after.uid != before.uid));
    if let Some(gone) = replaced {
        let retired = context.fleet.retire(namespace, &gone.uid);
        let model = retired.is_some().then(|| gone.sidecar.clone()).flatten();
        retired.into_iter().chain(model.map(Key::Model)).for_each(|key| context.queue.push(key));
    }
    if let Some(owner) =
        change.after.as_ref().filter(|pod| pod.sidecar.is_some()).and_then(|pod| pod.owner.clone())
    {
        let known = context.fleet.owner_known(&owner);
        if !known {
            context.queue.push(Key::Owner(namespace.clone(), owner));
        } else if change.before.is_none() || replaced.is_some() {
            context.fleet.reports_of(namespace).into_iter().for_each(|key| context.queue.push(key));
        }
    }
    for scope in context.scopes_within(namespace) {
        context.queue.push(Key::Scope(scope));
    }
}

/// It may lead past sidecars in placement Proxy.
#[allow(clippy::needless_pass_by_value, reason = "the signature that every watch calls")]
fn service_changed(context: &Context, change: Change<ServiceView>) {
    let policies = context.world.policies.within(&change.name.namespace);
    for policy in policies.iter().filter(|policy| policy.spec.placement == Placement::Proxy) {
        context.queue.push(Key::Scope(scope(policy)));
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that every watch calls")]
fn namespace_changed(context: &Context, change: Change<()>) {
    for scope in context.scopes_within(&change.name.name) {
        context.queue.push(Key::Scope(scope));
    }
}

fn scope(policy: &PersonaPolicy) -> Scope {
    Scope { namespace: policy.namespace().unwrap_or_default(), model: policy.spec.model.clone() }
}

/// Takes up the work of the leader before: counts that it wrote, and everything that may have
/// happened since.
pub(crate) fn catch_up(context: &Context) {
    for report in context.world.reports.all() {
        context.fleet.restore(&report);
    }
    let there: std::collections::HashSet<String> =
        context.world.pods.all().iter().map(|pod| pod.uid.clone()).collect();
    for (namespace, uid) in
        context.fleet.known_pods().into_iter().filter(|(_, uid)| !there.contains(uid))
    {
        context.fleet.retire(&namespace, &uid);
    }
    for report in context.world.reports.all() {
        context.queue.push(Key::Report(report.namespace().unwrap_or_default(), report.name_any()));
    }
    for pod in context.world.pods.all().iter().filter(|pod| pod.sidecar.is_some()) {
        if let Some(owner) = pod.owner.clone().filter(|owner| !context.fleet.owner_known(owner)) {
            context.queue.push(Key::Owner(pod.namespace.clone(), owner));
        }
    }
    context.scopes().into_iter().for_each(|scope| context.queue.push(Key::Scope(scope)));
    context
        .world
        .vectors
        .all()
        .iter()
        .for_each(|vector| context.queue.push(Key::Vector(vector.name_any())));
    context
        .world
        .models
        .all()
        .iter()
        .for_each(|model| context.queue.push(Key::Model(model.name_any())));
    for screen in context.world.screens.all() {
        context.queue.push(Key::Screen(screen.namespace().unwrap_or_default(), screen.name_any()));
    }
}
