//! Every write to the API server goes through here: fenced, and by one field manager.

use crate::leader::{Fence, NotLeader};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource};
use personaguard_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// This process leads no more.
    #[error(transparent)]
    Fenced(#[from] NotLeader),
    /// The API server refused it, or was not reached.
    #[error("the API server did not take {what}: {source}")]
    Api {
        /// What was to be written.
        what: String,
        /// Why.
        source: kube::Error,
    },
}

impl WriteError {
    /// The object is not there (any more).
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.code == 404)
    }
}

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    fence: Fence,
}

impl Cluster {
    pub(crate) fn new(client: Client, fence: Fence) -> Self {
        Self { client, fence }
    }

    /// Makes sure that this process still leads.
    pub(crate) fn check(&self) -> Result<(), NotLeader> {
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

    /// A merge patch.
    pub(crate) async fn merge<K>(
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

    /// Deletes an object; one that is gone already is fine.
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
    let what = format!("{} {name}", K::kind(&K::DynamicType::default()));
    move |source| WriteError::Api { what, source }
}
