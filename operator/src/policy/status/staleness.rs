//! Vectors whose calibration may not fit how the model is served: the weights are those that they
//! were made on, but the model server was told something else. A warning, no lack of a guard: what
//! is measured is what the policy names, and whoever made the vector decides how far its scores can
//! be off. Pure.

use super::guarded::SelectedPod;
use crate::objects::conditions::NewCondition;
use personaguard_api::conditions::{condition, reason};
use personaguard_api::{PersonaPolicy, Placement, PodCounts, StaleVector};

/// The condition: in placement Engine, or where there is something to say.
pub(super) fn detect(policy: &PersonaPolicy, pods: &[SelectedPod<'_>]) -> Option<NewCondition> {
    let uid = policy.metadata.uid.as_deref();
    let found = pods.iter().find_map(|selected| {
        let stale = first(selected.report?, uid)?;
        Some((selected, stale))
    });
    if let Some((selected, StaleVector { vector, difference })) = found {
        let message = format!(
            "PersonaVector {vector} does not fit what pod {} serves: {difference}. Its scores may \
             be off; it is enforced all the same. Make it again on what is served (for a Job: edit \
             spec.vllm of the PersonaModel to match), or serve what it was made on.",
            selected.pod.name
        );
        let reason = reason::MADE_OTHERWISE;
        return Some(NewCondition::met(condition::CALIBRATION_STALE, reason, message));
    }
    (policy.spec.placement == Placement::Engine).then(|| {
        let message = "No sidecar says that the model is served otherwise than the vectors were \
                       made on.";
        NewCondition::unmet(condition::CALIBRATION_STALE, reason::AS_MADE, message)
    })
}

fn first<'a>(report: &'a PodCounts, uid: Option<&str>) -> Option<&'a StaleVector> {
    let mut own = report.policies.iter().filter(|known| Some(known.uid.as_str()) == uid);
    own.find_map(|policy| policy.stale.first())
}

#[cfg(test)]
mod tests;
