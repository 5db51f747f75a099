//! The API server. Every write goes through here: fenced, and under one field manager.

use super::fence::Fence;
use crate::outcome::{NotLeader, WriteError};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use personaguard_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    fence: Fence,
}

impl Cluster {
    pub(crate) fn new(client: Client, fence: Fence) -> Self {
        Self { client, fence }
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
        api.patch(name, &params, &Patch::Apply(object)).await.map_err(failed::<K>(name))
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
        api.patch_status(name, &params, &Patch::Apply(object)).await.map_err(failed::<K>(name))
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
        api.patch(name, &params, &Patch::Merge(patch)).await.map_err(failed::<K>(name))
    }

    /// Deletes an object. One that is already gone is no error.
    pub(crate) async fn delete<K>(&self, api: &Api<K>, name: &str) -> Result<(), WriteError>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.fence.check()?;
        match api.delete(name, &DeleteParams::default()).await.map_err(failed::<K>(name)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn failed<K>(name: &str) -> impl FnOnce(kube::Error) -> WriteError
where
    K: Resource,
    K::DynamicType: Default,
{
    let object = format!("{} {name}", K::kind(&K::DynamicType::default()));
    move |source| WriteError::Api { object, source }
}
