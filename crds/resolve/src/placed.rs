//! Whether a policy's placement is complete, and goes with its actions and with the model's engine.

use crate::rejection::Rejection;
use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{
    ActionKind, ModelEngine, PersonaModel, PersonaPolicy, Placement, TraitRule,
};

/// Checks that a policy names a port where its sidecar stands in front of a server, and nowhere
/// else, and changes no activations where that server knows of none.
pub(crate) fn placed(policy: &PersonaPolicy) -> Result<(), Rejection> {
    let spec = &policy.spec;
    match (spec.placement, &spec.port) {
        (Placement::Serve, Some(_)) => {
            invalid("spec.port goes with placement Proxy or Engine: leave it out".to_owned())
        }
        (placement @ (Placement::Proxy | Placement::Engine), None) => invalid(format!(
            "placement {placement:?} takes over a container port: give its name in spec.port"
        )),
        (Placement::Proxy, Some(_)) => leaves_activations_alone(&spec.traits),
        (Placement::Serve, None) | (Placement::Engine, Some(_)) => Ok(()),
    }
}

fn leaves_activations_alone(traits: &[TraitRule]) -> Result<(), Rejection> {
    if let Some(rule) = traits.iter().find(|rule| rule.action.changes_activations()) {
        return invalid(format!(
            "trait `{}` has action {}, and another server writes the answers in placement Proxy: \
             use {}",
            rule.vector,
            rule.action.name(),
            ActionKind::list(|kind| !kind.changes_activations(), "or")
        ));
    }
    let steers =
        |rule: &&TraitRule| rule.requests.is_some_and(|requests| requests.coefficient.is_some());
    match traits.iter().find(steers) {
        Some(rule) => invalid(format!(
            "trait `{}` lets callers steer, and another server writes the answers in placement \
             Proxy: leave requests.coefficient out",
            rule.vector
        )),
        None => Ok(()),
    }
}

/// Checks that a policy's sidecars can have the model: our own engine runs it in them, or vLLM
/// behind them.
///
/// # Errors
/// If they cannot.
pub fn fits_engine(policy: &PersonaPolicy, model: &PersonaModel) -> Result<(), Rejection> {
    let name = model.name_any();
    match (policy.spec.placement, model.spec.engine) {
        (Placement::Serve | Placement::Proxy, ModelEngine::Own)
        | (Placement::Engine, ModelEngine::Vllm) => Ok(()),
        (placement, ModelEngine::Vllm) => invalid(format!(
            "PersonaModel `{name}` has engine Vllm, so its weights are vLLM's and no sidecar loads \
             them as placement {placement:?} would: use placement Engine, with the name of vLLM's \
             port in spec.port, or a PersonaModel with engine Own"
        )),
        (Placement::Engine, ModelEngine::Own) => invalid(format!(
            "placement Engine stands in front of vLLM, and PersonaModel `{name}` has engine Own: \
             use a PersonaModel with engine Vllm, or placement Serve or Proxy"
        )),
    }
}

fn invalid(message: String) -> Result<(), Rejection> {
    Err(Rejection::new(reason::PLACEMENT_INVALID, message))
}

#[cfg(test)]
mod tests;
