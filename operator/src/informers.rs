//! The informers: they watch the API server, fill the stores, and queue what is due because of a
//! change.

mod catch_up;
mod triggers;

pub(crate) use catch_up::catch_up;
pub(crate) use triggers::Triggers;

use crate::context::{Change, Store, Stores};
use crate::objects::{PodView, ServiceView, WATCHED_PODS};
use futures::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Resource};
use personaguard_api::names;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Some load balancers in front of API servers end idle connections after 240 s.
const WATCH_TIMEOUT_SECONDS: u32 = 200;

/// Starts all informers.
pub(crate) fn start(triggers: &Arc<Triggers>, tasks: &mut JoinSet<()>) {
    let mut informers = Informers { triggers, tasks };
    informers.own_kind(|stores| &stores.models, Triggers::model_changed);
    informers.own_kind(|stores| &stores.vectors, Triggers::vector_changed);
    informers.own_kind(|stores| &stores.policies, Triggers::policy_changed);
    informers.own_kind(|stores| &stores.reports, Triggers::report_changed);
    informers.own_kind(|stores| &stores.screens, Triggers::screen_changed);
    informers.own_kind(|stores| &stores.injections, Triggers::injection_changed);
    informers.config_maps();
    informers.pods();
    informers.services();
    informers.excluded_namespaces();
}

fn config() -> Config {
    Config::default().timeout(WATCH_TIMEOUT_SECONDS)
}

struct Informers<'a> {
    triggers: &'a Arc<Triggers>,
    tasks: &'a mut JoinSet<()>,
}

impl Informers<'_> {
    /// One of our kinds. An object that does not parse (of a newer version, say) is skipped and
    /// delays no other.
    fn own_kind<K>(&mut self, store: fn(&Stores) -> &Store<K>, changed: fn(&Triggers, Change<K>))
    where
        K: Resource + Clone + DeserializeOwned + Debug + PartialEq + Send + Sync + 'static,
        K::DynamicType: Default + Clone + Debug + Eq + std::hash::Hash + Unpin,
    {
        let api: Api<DeserializeGuard<K>> = self.triggers.context.cluster.all();
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let convert = |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => Some(object),
            Err(invalid) => {
                let name = invalid.metadata.name.unwrap_or_default();
                let error = invalid.error;
                tracing::error!(name, error, "an object cannot be read: is its version newer?");
                None
            }
        };
        self.follow(kind, watcher(api, config()), store, convert, changed);
    }

    /// Configs of sidecars.
    fn config_maps(&mut self) {
        let api: Api<ConfigMap> = self.triggers.context.cluster.all();
        let stream = watcher(api, config().labels(names::MODEL_LABEL));
        let store: fn(&Stores) -> &Store<ConfigMap> = |stores| &stores.config_maps;
        self.follow("ConfigMap", stream, store, Some, Triggers::config_map_changed);
    }

    fn pods(&mut self) {
        let api: Api<Pod> = self.triggers.context.cluster.all();
        let stream = watcher(api, config().fields(WATCHED_PODS));
        let convert = |pod| Some(PodView::from(pod));
        self.follow("Pod", stream, |stores| &stores.pods, convert, Triggers::pod_changed);
    }

    fn services(&mut self) {
        let api: Api<Service> = self.triggers.context.cluster.all();
        let stream = watcher(api, config());
        let store: fn(&Stores) -> &Store<ServiceView> = |stores| &stores.services;
        self.follow("Service", stream, store, ServiceView::of, Triggers::service_changed);
    }

    fn excluded_namespaces(&mut self) {
        let api: Api<PartialObjectMeta<Namespace>> = self.triggers.context.cluster.all();
        let stream = watcher(api, config().labels(&format!("{}=disabled", names::INJECTION)));
        let store: fn(&Stores) -> &Store<()> = |stores| &stores.excluded_namespaces;
        self.follow("Namespace", stream, store, |_| Some(()), Triggers::namespace_changed);
    }

    fn follow<K, V>(
        &mut self,
        kind: impl Into<String>,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        store: fn(&Stores) -> &Store<V>,
        convert: fn(K) -> Option<V>,
        changed: fn(&Triggers, Change<V>),
    ) where
        K: Resource + Clone + Send + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        let (triggers, kind) = (Arc::clone(self.triggers), kind.into());
        self.tasks.spawn(async move {
            let stream = stream.default_backoff();
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        for change in store(&triggers.context.stores).apply(event, convert) {
                            changed(&triggers, change);
                        }
                    }
                    Err(error) => tracing::warn!(kind, %error, "a watch failed; it is restarted"),
                }
            }
        });
    }
}
