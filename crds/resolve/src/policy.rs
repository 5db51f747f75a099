//! One policy, resolved or not.

use crate::checks::{check_condition, check_fields, check_sampling_and_evidence};
use crate::placement::check_placement;
use crate::rejection::Rejection;
use crate::scale::Scale;
use crate::threshold::limits;
use crate::vector::{VectorInput, digest_of};
use kube::ResourceExt;
use kube::core::Selector;
use personaguard_api::conditions::reason;
use personaguard_api::{
    Action, Digest, Evidence, Mode, PersonaModel, PersonaPolicy, TraitRule, wire_selector,
};
use personaguard_wire::{Failure, Part, ResolvedPolicy, ResolvedTrait, UnresolvedPolicy, parts};
use std::collections::{BTreeMap, BTreeSet};

/// Resolves one policy: thresholds become raw projections.
///
/// # Errors
/// If something that the policy needs is missing, or does not fit the model.
pub fn resolve_policy(
    policy: &PersonaPolicy,
    model: &PersonaModel,
    vectors: &BTreeMap<String, VectorInput>,
) -> Result<ResolvedPolicy, Rejection> {
    let spec = &policy.spec;
    if let Err(error) = Selector::try_from(spec.selector.clone()) {
        return Err(Rejection::new(
            reason::SELECTOR_INVALID,
            format!(
                "spec.selector does not parse ({error}): use operators In, NotIn, Exists and \
                 DoesNotExist"
            ),
        ));
    }
    check_placement(policy)?;
    if spec.traits.is_empty() {
        return Err(Rejection::new(
            reason::VECTOR_NOT_FOUND,
            "spec.traits is empty: name at least one PersonaVector",
        ));
    }
    check_sampling_and_evidence(spec)?;
    let mut seen = BTreeSet::new();
    let mut traits = Vec::with_capacity(spec.traits.len());
    let mut content = vec![model.spec.sha256.to_string()];
    for rule in &spec.traits {
        if !seen.insert(&rule.vector) {
            let message = format!(
                "spec.traits names vector `{}` twice: keep one of the entries",
                rule.vector
            );
            return Err(Rejection::new(reason::DUPLICATE_VECTOR, message));
        }
        let vector = vectors.get(&rule.vector).ok_or_else(|| {
            let message = format!(
                "PersonaVector `{0}` does not exist: create it, or correct spec.traits (see kubectl \
                 get personavectors)",
                rule.vector
            );
            Rejection::new(reason::VECTOR_NOT_FOUND, message)
        })?;
        vector.belongs_to(&rule.vector, model)?;
        vector.discriminates(&rule.vector)?;
        if moves_activations(rule) {
            vector.steers(&rule.vector)?;
        }
        let scale = Scale::of(policy, rule, vector);
        let (min, max) = limits(rule, &scale)?;
        check_fields(rule)?;
        check_condition(rule, &spec.traits, vectors)?;
        content.push(format!("{} {}", vector.layer, digest_of(&vector.values)));
        for part in parts(rule.steer.as_ref(), rule.cap.as_ref()) {
            let values = part.values(&vector.layers).ok_or_else(|| no_layer(rule, part, vector))?;
            content.push(format!("{} {}", part.name(""), digest_of(&values)));
        }
        traits.push(ResolvedTrait {
            vector: rule.vector.clone(),
            score: rule.score,
            min,
            max,
            action: rule.action,
            steer: rule.steer.clone(),
            cap: rule.cap.clone(),
            regenerate: rule.regenerate,
            redact: rule.redact.clone(),
            requests: rule.requests,
            calibrates: scale.collects(),
            baseline: scale.baseline(),
        });
    }
    let mut resolved = ResolvedPolicy {
        name: policy.name_any(),
        uid: policy.uid().unwrap_or_default(),
        generation: policy.metadata.generation.unwrap_or(1),
        digest: None,
        mode: spec.mode,
        selector: wire_selector(&spec.selector),
        failure_policy: spec.failure_policy,
        evidence: Evidence { min_tokens: spec.evidence.min_tokens.max(1), ..spec.evidence },
        sampling: spec.sampling,
        record_conversations: spec.record_conversations,
        traits,
    };
    content.push(serde_json::to_string(&resolved).unwrap_or_default());
    resolved.digest = Some(Digest::of(content.join("\n").as_bytes()));
    Ok(resolved)
}

/// What sidecars are told about a policy that is not enforced. `None` if it would not act anyway.
#[must_use]
pub fn unresolved(policy: &PersonaPolicy, rejection: &Rejection) -> Option<UnresolvedPolicy> {
    (policy.spec.mode == Mode::Enforce).then(|| UnresolvedPolicy {
        name: policy.name_any(),
        selector: wire_selector(&policy.spec.selector),
        failure_policy: policy.spec.failure_policy,
        failure: Failure {
            reason: rejection.reason.to_owned(),
            message: rejection.message.clone(),
        },
    })
}

/// Whether activations may be changed along the rule's vector: by the policy, or because a caller
/// asks for it.
fn moves_activations(rule: &TraitRule) -> bool {
    matches!(rule.action, Action::Steer | Action::Cap | Action::Regenerate)
        || rule.requests.is_some_and(|requests| requests.coefficient.is_some())
}

/// The vector's file lacks a layer that the rule acts at.
fn no_layer(rule: &TraitRule, part: Part, vector: &VectorInput) -> Rejection {
    let message = format!(
        "trait `{}` acts at layer {}, and the file of its PersonaVector has layers 1 to {}: \
         correct the layers",
        rule.vector,
        part.layer(),
        vector.layers.len().saturating_sub(1)
    );
    Rejection::new(reason::LAYER_MISSING, message)
}

#[cfg(test)]
mod tests;
