//! Policies that were edited to use another model: sidecars of this one go on enforcing them. Pure.

use crate::policy::dereference::Inputs;
use crate::policy::stored::StoredConfig;
use kube::ResourceExt;
use personaguard_api::PersonaPolicy;
use personaguard_api::conditions::reason;
use personaguard_resolve::Rejection;

pub(super) struct Stray<'a> {
    pub(super) policy: &'a PersonaPolicy,
    /// It is in force with its other model, so no new pod gets this one for it.
    pub(super) in_force_elsewhere: bool,
}

impl Stray<'_> {
    /// Why it is not in force here as it is written. Its own scope tells people.
    pub(super) fn rejection(&self) -> Rejection {
        let message = format!("it uses model `{}` now", self.policy.spec.model);
        Rejection::new(reason::MODEL_CONFLICT, message)
    }
}

/// One that is in force elsewhere stays here for as long as pods with this model run.
pub(super) fn strays<'a>(inputs: &'a Inputs, stored: Option<&StoredConfig>) -> Vec<Stray<'a>> {
    let Some(stored) = stored else { return Vec::new() };
    let pods_run = inputs.sidecar_pods().next().is_some();
    let stray = inputs.others.iter().filter_map(|policy| {
        let uid = policy.uid()?;
        let in_force_elsewhere = inputs.elsewhere.get(&uid).is_some_and(|elsewhere| {
            elsewhere.model == policy.spec.model
                && Some(elsewhere.policy.generation) == policy.metadata.generation
        });
        let stays = stored.has(&uid) && (pods_run || !in_force_elsewhere);
        stays.then_some(Stray { policy, in_force_elsewhere })
    });
    stray.collect()
}
