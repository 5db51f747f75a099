//! Policies that are in force and that the watch does not show. One that is deleted is seen to be,
//! as it has a finalizer; so the API server is asked before anything is withdrawn for a list that
//! came back without it.

use crate::context::Context;
use crate::policy::stored::Stored;
use kube::Api;
use personaguard_api::PersonaPolicy;
use personaguard_wire::ResolvedPolicy;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between looks at such policies.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Those that exist, or may, in sentences. `stored` is the config in force.
pub(super) async fn still_there(
    context: &Context,
    namespace: &str,
    stored: &Stored,
) -> Vec<String> {
    let Some(stored) = stored.config() else { return Vec::new() };
    let policies = &context.stores.policies;
    let seen = policies.within(namespace).into_iter().filter_map(|it| it.metadata.uid.clone());
    let unread = policies.unreadable_within(namespace).into_iter();
    let seen: BTreeSet<_> = seen.chain(unread.map(|it| it.uid().to_owned())).collect();
    let mut found = Vec::new();
    for policy in stored.present.config.policies.iter().filter(|it| !seen.contains(&it.uid)) {
        if exists(context, namespace, policy).await {
            found.push(format!(
                "PersonaPolicy `{}` is in force, and the API server's list lacks it though it was \
                 not deleted, so everything of its scope stays as it is: look at the health of \
                 the API server.",
                policy.name
            ));
        }
    }
    found
}

/// Whether it cannot be ruled out.
async fn exists(context: &Context, namespace: &str, policy: &ResolvedPolicy) -> bool {
    let api: Api<PersonaPolicy> = context.cluster.namespaced(namespace);
    match api.get_metadata_opt(&policy.name).await {
        Ok(Some(object)) => {
            object.metadata.uid.as_deref() == Some(&policy.uid)
                && object.metadata.deletion_timestamp.is_none()
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests;
