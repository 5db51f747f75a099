//! The informers: they watch the API server, fill the stores, and queue what is due because of a
//! change.

mod catch_up;
mod triggers;

pub(crate) use catch_up::catch_up;
pub(crate) use triggers::Triggers;

use crate::context::{Change, Readable, Store, Stores};
use crate::keys::Kind;
use crate::objects::{PodView, ServiceView, WATCHED_PODS};
use futures::{Stream, StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::core::PartialObjectMeta;
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
    informers.own_kind(Kind::Model, |stores| &stores.models, Triggers::model_changed);
    informers.own_kind(Kind::Vector, |stores| &stores.vectors, Triggers::vector_changed);
    informers.own_kind(Kind::Policy, |stores| &stores.policies, Triggers::policy_changed);
    informers.own_kind(Kind::Report, |stores| &stores.reports, Triggers::report_changed);
    informers.own_kind(Kind::Screen, |stores| &stores.screens, Triggers::screen_changed);
    informers.own_kind(Kind::Injection, |stores| &stores.injections, Triggers::injection_changed);
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
    /// One of our kinds.
    fn own_kind<K>(
        &mut self,
        kind: Kind,
        store: fn(&Stores) -> &Store<K>,
        changed: fn(&Triggers, Change<K>),
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + PartialEq + Send + Sync + 'static,
        K::DynamicType: Default + Clone + Debug + Eq + std::hash::Hash + Unpin,
    {
        let api: Api<Readable<K>> = self.triggers.context.cluster.all();
        self.follow(kind, watcher(api, config()), store, Some, changed);
    }

    /// Configs of sidecars. One without the label that keeps it to the operator is somebody else's.
    fn config_maps(&mut self) {
        let api: Api<Readable<ConfigMap>> = self.triggers.context.cluster.all();
        let (managed_by, manager) = (names::MANAGED_BY_LABEL, names::FIELD_MANAGER);
        let labels = format!("{},{managed_by}={manager}", names::MODEL_LABEL);
        let stream = watcher(api, config().labels(&labels));
        let store: fn(&Stores) -> &Store<ConfigMap> = |stores| &stores.config_maps;
        self.follow(Kind::ConfigMap, stream, store, Some, Triggers::config_map_changed);
    }

    fn pods(&mut self) {
        let api: Api<Readable<Pod>> = self.triggers.context.cluster.all();
        let stream = watcher(api, config().fields(WATCHED_PODS));
        let convert = |pod| Some(PodView::from(pod));
        self.follow(Kind::Pod, stream, |stores| &stores.pods, convert, Triggers::pod_changed);
    }

    fn services(&mut self) {
        let api: Api<Readable<Service>> = self.triggers.context.cluster.all();
        let stream = watcher(api, config());
        let store: fn(&Stores) -> &Store<ServiceView> = |stores| &stores.services;
        self.follow(Kind::Service, stream, store, ServiceView::of, Triggers::service_changed);
    }

    fn excluded_namespaces(&mut self) {
        let api: Api<Readable<PartialObjectMeta<Namespace>>> = self.triggers.context.cluster.all();
        let stream = watcher(api, config().labels(&format!("{}=disabled", names::INJECTION)));
        let store: fn(&Stores) -> &Store<()> = |stores| &stores.excluded_namespaces;
        self.follow(Kind::Namespace, stream, store, |_| Some(()), Triggers::namespace_changed);
    }

    /// An object that cannot be read delays no other, and is not taken for one that is gone.
    fn follow<K, V>(
        &mut self,
        kind: Kind,
        stream: impl Stream<Item = watcher::Result<Event<Readable<K>>>> + Send + 'static,
        store: fn(&Stores) -> &Store<V>,
        convert: fn(K) -> Option<V>,
        changed: fn(&Triggers, Change<V>),
    ) where
        K: Resource + Clone + Send + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        let triggers = Arc::clone(self.triggers);
        self.tasks.spawn(async move {
            let stream = stream.default_backoff();
            pin_mut!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        let store = store(&triggers.context.stores);
                        for change in store.apply(event, convert) {
                            if change.of_readability() {
                                triggers.readability_changed(kind, &change);
                            }
                            if change.unreadable.is_none() {
                                changed(&triggers, change);
                            }
                        }
                    }
                    Err(error) => {
                        let kind = kind.as_str();
                        tracing::warn!(kind, %error, "a watch failed; it is restarted");
                    }
                }
            }
        });
    }
}
