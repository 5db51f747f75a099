//! Why a pod that has a sidecar does not report. Pure.

use crate::objects::{ContainerStart, PodView};
use personaguard_api::conditions::reason;
use personaguard_api::names;

/// Of a sidecar that runs and has not reported.
pub(super) const NO_REPORT: &str = "its sidecar runs and has not reported: it may be loading the \
                                    model; if this persists, check the log of its container \
                                    personaguard, and whether it reaches the operator's Service \
                                    personaguard-reports";

/// The reason and what was found; `None` if the sidecar runs. One that `reports` does.
pub(super) fn problem(pod: &PodView, reports: bool) -> Option<(&'static str, String)> {
    let container = names::CONTAINER;
    Some(match &pod.start {
        ContainerStart::Running => return None,
        ContainerStart::Pending if reports => return None,
        ContainerStart::Unscheduled(why) => {
            (reason::POD_NOT_SCHEDULED, format!("it has no node yet ({why})"))
        }
        ContainerStart::Pending => (
            reason::SIDECAR_NOT_STARTED,
            format!(
                "its container {container} is being made; if this persists, see kubectl describe \
                 pod {}: the weights' volume, for example",
                pod.name
            ),
        ),
        ContainerStart::ImageUnavailable { image, why } => (
            reason::SIDECAR_IMAGE_UNAVAILABLE,
            format!(
                "the image {image} of its container {container} cannot be pulled ({why}): correct \
                 sidecar.image of the chart, or give the pod's ServiceAccount imagePullSecrets"
            ),
        ),
        ContainerStart::Blocked(why) => (
            reason::SIDECAR_NOT_STARTED,
            format!("its container {container} cannot be started ({why})"),
        ),
        ContainerStart::Crashed(end) => (
            reason::SIDECAR_NOT_STARTED,
            format!(
                "its container {container} ended ({end}) and is started anew: check its log, and \
                 runtime.resources of the PersonaModel"
            ),
        ),
    })
}
