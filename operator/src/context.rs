//! What every controller works with: the API server, the stores, the queue, Events and metrics. No
//! controller keeps its state here.

mod anew;
mod api_client;
mod api_health;
mod cluster;
mod events;
mod fence;
mod metrics;
mod queue;
mod readable;
mod store;
mod stores;

pub(crate) use api_client::{election_client, fenced_client};
pub(crate) use api_health::ApiHealth;
pub(crate) use cluster::Cluster;
pub(crate) use events::{Events, Notice};
pub(crate) use fence::{Fence, Moment};
pub(crate) use metrics::{Metrics, TraitLabels};
pub(crate) use queue::Queue;
pub(crate) use readable::{Readable, Unreadable};
pub(crate) use store::{Change, Store};
pub(crate) use stores::Stores;

use crate::keys::Key;
use crate::outcome::WriteError;
use crate::settings::Settings;
use kube::{Api, Resource, ResourceExt};
use personaguard_api::API_VERSION;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::sync::Arc;

pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) cluster: Cluster,
    pub(crate) stores: Stores,
    pub(crate) queue: Queue<Key>,
    pub(crate) events: Events,
    pub(crate) metrics: Arc<Metrics>,
}

impl Context {
    /// Writes the status of one of our objects and puts the answer into its store. Returns whether
    /// the object still exists; if it does not, nothing is written and the informer will see so.
    pub(crate) async fn write_status<K>(
        &self,
        api: &Api<K>,
        store: &Store<K>,
        name: &str,
        status: &impl Serialize,
    ) -> Result<bool, WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug + PartialEq,
        K::DynamicType: Default,
    {
        let mut metadata = json!({ "name": name });
        if let Some(namespace) = api.namespace() {
            metadata["namespace"] = json!(namespace);
        }
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let object = json!({
            "apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status
        });
        match self.cluster.apply_status(api, name, &object).await {
            Ok(written) => {
                store.upsert_written(written, Some);
                Ok(true)
            }
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Queues every scope of a model.
    pub(crate) fn queue_scopes_of_model(&self, model: &str) {
        for scope in self.stores.scopes().into_iter().filter(|scope| scope.model == model) {
            self.queue.push(Key::Scope(scope));
        }
    }

    /// Queues every vector of a model.
    pub(crate) fn queue_vectors_of_model(&self, model: &str) {
        for vector in self.stores.vectors.all() {
            if vector.spec.model == model {
                self.queue.push(Key::Vector(vector.name_any()));
            }
        }
    }
}
