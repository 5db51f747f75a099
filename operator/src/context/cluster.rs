//! The API server. Every write goes through here: fenced, and under one field manager.

use super::fence::Fence;
use super::metrics::Metrics;
use crate::outcome::{NotLeader, WriteError};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use personaguard_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    fence: Fence,
    metrics: Arc<Metrics>,
}

impl Cluster {
    /// `client` has the same fence.
    pub(crate) fn new(client: Client, fence: Fence, metrics: Arc<Metrics>) -> Self {
        Self { client, fence, metrics }
    }

    /// Objects of one namespace.
    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Cluster-scoped objects, or those of all namespaces.
    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Makes sure that this process still leads.
    pub(crate) fn check_leading(&self) -> Result<(), NotLeader> {
        self.fence.check()
    }

    /// Server-side apply.
    pub(crate) async fn apply<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &(impl Serialize + Debug),
    ) -> Result<K, WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.fence.check()?;
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        api.patch(name, &params, &Patch::Apply(object)).await.map_err(self.failed::<K>(name))
    }

    /// Server-side apply of a status.
    pub(crate) async fn apply_status<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &(impl Serialize + Debug),
    ) -> Result<K, WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.fence.check()?;
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        api.patch_status(name, &params, &Patch::Apply(object)).await.map_err(self.failed::<K>(name))
    }

    /// A JSON merge patch.
    pub(crate) async fn merge_patch<K>(
        &self,
        api: &Api<K>,
        name: &str,
        patch: &Value,
    ) -> Result<K, WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.fence.check()?;
        let params = PatchParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(patch)).await.map_err(self.failed::<K>(name))
    }

    /// Deletes an object. One that is already gone is no error.
    pub(crate) async fn delete<K>(&self, api: &Api<K>, name: &str) -> Result<(), WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.fence.check()?;
        match api.delete(name, &DeleteParams::default()).await.map_err(self.failed::<K>(name)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Conditions of an object that cannot be read, and nothing else of its status. They have an
    /// owner of their own, which gives way to the next complete status.
    pub(crate) async fn apply_conditions(
        &self,
        api: &Api<DynamicObject>,
        kind: &str,
        object: &DynamicObject,
    ) -> Result<(), WriteError> {
        self.fence.check()?;
        let name = object.metadata.name.clone().unwrap_or_default();
        let params = PatchParams::apply(names::UNREADABLE_FIELD_MANAGER).force();
        let result = api.patch_status(&name, &params, &Patch::Apply(object)).await;
        result.map(drop).map_err(|source| self.failure(kind, &name, source))
    }

    fn failed<K>(&self, name: &str) -> impl FnOnce(kube::Error) -> WriteError
    where
        K: Resource,
        K::DynamicType: Default,
    {
        move |source| self.failure(&K::kind(&K::DynamicType::default()), name, source)
    }

    fn failure(&self, kind: &str, name: &str, source: kube::Error) -> WriteError {
        let error = WriteError::Api { object: format!("{kind} {name}"), source };
        if error.refusal().is_some() {
            self.metrics.write_refused(kind);
        }
        error
    }
}
