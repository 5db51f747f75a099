//! Owned objects that cannot be changed are deleted and made anew: somebody made them immutable, or
//! left something in them that a server-side apply does not take out.

use super::cluster::Cluster;
use crate::outcome::WriteError;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

impl Cluster {
    /// Makes an object what it should be, as `is_right` sees it. What refuses a change of it for
    /// another reason than that it is immutable would refuse a new one as well, so the object
    /// stays.
    pub(crate) async fn apply_or_make_anew<K>(
        &self,
        api: &Api<K>,
        desired: &K,
        is_right: impl Fn(&K) -> bool,
    ) -> Result<K, WriteError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
        K::DynamicType: Default,
    {
        let name = desired.name_any();
        let found = match self.apply(api, &name, desired).await {
            Ok(written) if is_right(&written) => return Ok(written),
            Ok(written) => written,
            Err(error) if error.is_invalid() => match api.get_opt(&name).await {
                Ok(Some(found)) if is_immutable(&found) => found,
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        tracing::warn!(name, "an owned object was changed by somebody else, and is made anew");
        if !found.finalizers().is_empty() {
            let none = json!({ "metadata": { "finalizers": null } });
            self.merge_patch(api, &name, &none).await?;
        }
        self.delete(api, &name).await?;
        self.apply(api, &name, desired).await
    }
}

fn is_immutable(object: &impl Serialize) -> bool {
    serde_json::to_value(object).is_ok_and(|object| object["immutable"] == Value::Bool(true))
}

#[cfg(test)]
mod tests;
