//! From the kinds to what a sidecar enforces: a pure function that the operator and `personaguard
//! serve` share.

mod assemble;
#[cfg(test)]
mod author_tests;
mod conflict;
#[cfg(test)]
mod fixtures;
mod limits;
mod placed;
mod placement;
mod rejection;
mod scale;
mod vector;

pub use assemble::{assemble, served_model};
use assemble::{resolved_part, resolved_vector};
pub use conflict::no_conflict;
pub use placed::fits_engine;
use placed::placed;
pub use placement::{age, misplaced};
pub use rejection::Rejection;
pub use vector::VectorInput;

use kube::ResourceExt;
use kube::core::Selector;
use personaguard_api::conditions::reason;
use personaguard_api::{
    Action, ActionKind, Evidence, FailurePolicy, Mode, PersonaModel, PersonaPolicy,
    PersonaPolicySpec, Release, Score, Threshold, TraitRule, is_computable, wire_selector,
};
use personaguard_wire::{
    Failure, GuardConfig, Part, ResolvedPolicy, ResolvedTrait, UnresolvedPolicy, parts,
};
use scale::Scale;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that a config folder may hold: the limit of a ConfigMap, less room for its metadata and
/// the CA bundle.
pub const MAX_CONFIG_BYTES: usize = (1 << 20) - (64 << 10);

/// What is enforced for one (namespace, model), and which policies are not.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// For the sidecars.
    pub config: GuardConfig,
    /// Values of the config's vectors, each of shape `[hidden]`.
    pub values: BTreeMap<String, Vec<f32>>,
    /// Policies that are not enforced, by name.
    pub rejected: BTreeMap<String, Rejection>,
}

/// Resolves every policy of one (namespace, model). Of two policies that contradict each other, the
/// older one stands.
#[must_use]
pub fn resolve(
    model: &PersonaModel,
    inputs: &BTreeMap<String, VectorInput>,
    policies: &[PersonaPolicy],
) -> Resolution {
    let mut oldest_first: Vec<_> = policies.iter().collect();
    oldest_first.sort_by_key(|policy| age(policy));
    let mut accepted: Vec<ResolvedPolicy> = Vec::new();
    let mut rejected = misplaced(model, policies);
    for policy in oldest_first {
        if rejected.contains_key(&policy.name_any()) {
            continue;
        }
        match resolve_policy(policy, model, inputs).and_then(|new| no_conflict(new, &accepted)) {
            Ok(new) => accepted.push(new),
            Err(rejection) => {
                rejected.insert(policy.name_any(), rejection);
            }
        }
    }
    let (config, values) = assemble(model, inputs, accepted);
    Resolution { config, values, rejected }
}

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
    limits::of_selector(&wire_selector(&spec.selector))?;
    placed(policy)?;
    fits_engine(policy, model)?;
    if spec.traits.is_empty() {
        return Err(Rejection::new(
            reason::VECTOR_NOT_FOUND,
            "spec.traits is empty: name at least one PersonaVector",
        ));
    }
    consistent(spec)?;
    limits::of_policy(spec)?;
    let mut seen = BTreeSet::new();
    let mut traits = Vec::with_capacity(spec.traits.len());
    let mut used = BTreeMap::new();
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
                "PersonaVector `{0}` does not exist: create it, or correct spec.traits (see \
                 kubectl \
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
        limits::of_rule(rule)?;
        let scale = Scale::of(policy, rule, vector);
        let (min, max) = bounds(rule, &scale)?;
        let action = complete(rule)?;
        coherent(rule)?;
        condition(rule, &spec.traits, vectors)?;
        used.insert(rule.vector.clone(), resolved_vector(vector));
        for part in parts(&action) {
            let values = part.values(&vector.layers).ok_or_else(|| no_layer(rule, part, vector))?;
            used.insert(part.name(&rule.vector), resolved_part(vector, part, &values));
        }
        traits.push(ResolvedTrait {
            vector: rule.vector.clone(),
            score: rule.score,
            min,
            max,
            action,
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
        unscorable_requests: spec.unscorable_requests,
        evidence: Evidence { min_tokens: spec.evidence.min_tokens.max(1), ..spec.evidence },
        sampling: spec.sampling,
        record_conversations: spec.record_conversations,
        traits,
    };
    resolved.digest = Some(resolved.enforced_with(&served_model(model), |name| used.get(name)));
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

/// Whether activations may be changed along the vector: by the policy, or because a caller asks.
fn moves_activations(rule: &TraitRule) -> bool {
    rule.action.changes_activations()
        || rule.requests.is_some_and(|requests| requests.coefficient.is_some())
}

/// The action of a rule, with its parameters and no other's.
fn complete(rule: &TraitRule) -> Result<Action, Rejection> {
    let refuse = |problem: &str| {
        let message = format!("trait `{}`: {problem}", rule.vector);
        Rejection::new(reason::ACTION_INCOMPLETE, message)
    };
    let action = rule.resolved_action().map_err(|problem| refuse(&problem.to_string()))?;
    action.check().map_err(refuse)?;
    if rule.action.release() == Release::AtEnd && rule.score == Score::PromptLast {
        // A new answer does not change the score of its prompt.
        return Err(refuse(&format!(
            "action {} goes with score ResponseAvg, AnswerAvg or ReasoningAvg",
            rule.action.name()
        )));
    }
    Ok(action)
}

/// The limits of coherence are within their ranges. The API server checks the same.
fn coherent(rule: &TraitRule) -> Result<(), Rejection> {
    let Some(limits) = rule.steer.as_ref().map(|steer| steer.coherence) else { return Ok(()) };
    if (-50.0..=0.0).contains(&limits.min_log_likelihood)
        && (0.0..=1.0).contains(&limits.max_repetition)
    {
        return Ok(());
    }
    let message = format!(
        "steer.coherence of trait `{}`: minLogLikelihood lies from -50 to 0, maxRepetition from \
         0 to 1",
        rule.vector
    );
    Err(Rejection::new(reason::ACTION_INCOMPLETE, message))
}

/// Checks the condition on a rule's steering: its vector is a trait of the same policy, and is read
/// no later than at the first layer that is steered.
fn condition(
    rule: &TraitRule,
    traits: &[TraitRule],
    vectors: &BTreeMap<String, VectorInput>,
) -> Result<(), Rejection> {
    let Some((steer, when)) =
        rule.steer.as_ref().and_then(|steer| Some((steer, steer.when.as_ref()?)))
    else {
        return Ok(());
    };
    let refuse = |problem: String| {
        Err(Rejection::new(
            reason::ACTION_INCOMPLETE,
            format!("steer.when of trait `{}`: {problem}", rule.vector),
        ))
    };
    let name = when.vector.as_ref().unwrap_or(&rule.vector);
    if !traits.iter().any(|rule| rule.vector == *name) {
        return refuse(format!(
            "`{name}` is not a trait of this policy: add it, with action Audit"
        ));
    }
    if let (Some(read), Some(steered)) = (vectors.get(name), vectors.get(&rule.vector))
        && let lowest = steer.layers.iter().min().unwrap_or(&steered.layer)
        && read.layer > *lowest
    {
        return refuse(format!(
            "`{name}` is read at layer {}, and layer {lowest} is steered before that: use a vector \
             at layer {lowest} or below",
            read.layer
        ));
    }
    if steer.positions != personaguard_api::Positions::Response {
        return refuse("it goes with positions Response".to_owned());
    }
    let until = when.until.unwrap_or(when.above);
    if !is_computable(when.above) || !is_computable(until) || until > when.above {
        return refuse(
            "`until` must not be greater than `above`, and both must be finite in single precision"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks that nothing that is enforced is sampled, and that the evidence can be met.
fn consistent(spec: &PersonaPolicySpec) -> Result<(), Rejection> {
    let idle = |rule: &TraitRule| !rule.action.intervenes() && rule.requests.is_none();
    let free = spec.mode == Mode::Audit
        || (spec.failure_policy == FailurePolicy::Open && spec.traits.iter().all(idle));
    if spec.sampling.is_some() && !free {
        let message = format!(
            "what is enforced cannot be sampled: leave spec.sampling out, or use actions {} with \
             failurePolicy Open and without requests",
            ActionKind::list(|kind| !kind.intervenes(), "and")
        );
        return Err(Rejection::new(reason::SAMPLING_INVALID, message));
    }
    let valid = |sampling: personaguard_api::Sampling| match (sampling.fraction, sampling.every) {
        (Some(fraction), None) => fraction > 0.0 && fraction <= 1.0,
        (None, Some(every)) => every > 0,
        _ => false,
    };
    if spec.sampling.is_some_and(|sampling| !valid(sampling)) {
        let message = "give exactly one of sampling.fraction (above 0, at most 1) and \
                       sampling.every (at least 1)";
        return Err(Rejection::new(reason::SAMPLING_INVALID, message));
    }
    if let Some(window) = spec.evidence.window
        && !(1..=window.of_last).contains(&window.past)
    {
        let message = "evidence.window.past must be at least 1, and at most evidence.window.ofLast";
        return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
    }
    Ok(())
}

/// The thresholds of a trait as raw projections: (min, max).
fn bounds(rule: &TraitRule, scale: &Scale<'_>) -> Result<(Option<f64>, Option<f64>), Rejection> {
    let Some(threshold) = &rule.threshold else {
        return if rule.action.needs_threshold() {
            let message = format!(
                "trait `{}` has action {} and no threshold: give one of threshold.sigma, \
                 .quantile, .projection and .range",
                rule.vector,
                rule.action.name()
            );
            Err(Rejection::new(reason::THRESHOLD_INVALID, message))
        } else {
            Ok((None, None))
        };
    };
    let limits = match threshold {
        Threshold { projection: Some(max), quantile: None, sigma: None, range: None } => {
            (None, Some(*max))
        }
        Threshold { range: Some(range), quantile: None, sigma: None, projection: None } => {
            if range.min >= range.max {
                let message = format!(
                    "threshold.range of trait `{}` has min {} at or above max {}: swap them",
                    rule.vector, range.min, range.max
                );
                return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
            }
            (Some(range.min), Some(range.max))
        }
        Threshold { sigma: Some(sigma), quantile: None, projection: None, range: None } => {
            (None, scale.sigma(rule, *sigma)?)
        }
        Threshold { quantile: Some(q), sigma: None, projection: None, range: None } => {
            (None, scale.quantile(rule, *q)?)
        }
        _ => {
            let message = format!(
                "threshold of trait `{}` must have exactly one of quantile, sigma, projection and \
                 range",
                rule.vector
            );
            return Err(Rejection::new(reason::THRESHOLD_INVALID, message));
        }
    };
    if [limits.0, limits.1].into_iter().flatten().all(f64::is_finite) {
        Ok(limits)
    } else {
        let message = format!("the threshold of trait `{}` is not a finite number", rule.vector);
        Err(Rejection::new(reason::THRESHOLD_INVALID, message))
    }
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
