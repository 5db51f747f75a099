//! Owned objects that cannot be changed are deleted and made anew: somebody made them immutable, or
//! left something in them that a server-side apply does not take out.

use crate::context::Context;
use crate::outcome::WriteError;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Makes an object what it should be, as `is_right` sees it.
pub(super) async fn apply_or_make_anew<K>(
    context: &Context,
    api: &Api<K>,
    stored: Option<&K>,
    desired: &K,
    is_right: impl Fn(&K) -> bool,
) -> Result<K, WriteError>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    K::DynamicType: Default,
{
    let name = desired.name_any();
    let applied = context.cluster.apply(api, &name, desired).await;
    match &applied {
        Ok(written) if is_right(written) => return applied,
        Ok(_) => {}
        Err(error) if stored.is_some() && error.is_invalid() => {}
        Err(_) => return applied,
    }
    tracing::warn!(name, "an owned object was changed by somebody else, and is made anew");
    if stored.is_some_and(|stored| !stored.finalizers().is_empty()) {
        let none = json!({ "metadata": { "finalizers": null } });
        context.cluster.merge_patch(api, &name, &none).await?;
    }
    context.cluster.delete(api, &name).await?;
    context.cluster.apply(api, &name, desired).await
}
