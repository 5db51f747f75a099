//! From the kinds to what a sidecar enforces: a pure function that the operator and `personaguard
//! serve` share.

mod conflict;
#[cfg(test)]
mod fixtures;
mod rejection;
mod scale;
mod vector;

pub use rejection::Rejection;
pub use vector::VectorInput;

use conflict::no_conflict;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::Selector;
use personaguard_api::conditions::reason;
use personaguard_api::{
    API_VERSION, Action, Capping, Digest, Evidence, FailurePolicy, Mode, PersonaModel,
    PersonaPolicy, PersonaPolicySpec, Placement, Threshold, TraitRule, names, wire_selector,
};
use personaguard_wire::{
    Baseline, Failure, GuardConfig, Part, ResolvedPolicy, ResolvedTrait, ResolvedVector,
    ServedModel, UnresolvedPolicy, parts,
};
use scale::Scale;
use std::collections::{BTreeMap, BTreeSet};
use vector::digest_of;

/// Bytes that a config folder may hold: the limit of a ConfigMap, less room for its metadata and
/// the CA bundle.
pub const MAX_CONFIG_BYTES: usize = (1 << 20) - (64 << 10);

/// What a (namespace, model) enforces, and what it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// For the sidecars.
    pub config: GuardConfig,
    /// Values of the config's vectors, shape `[hidden]` each.
    pub values: BTreeMap<String, Vec<f32>>,
    /// Policies that are not enforced, by name.
    pub rejected: BTreeMap<String, Rejection>,
}

/// Resolves every policy of a (namespace, model). Where two policies disagree, the older one
/// stands.
#[must_use]
pub fn resolve(
    model: &PersonaModel,
    inputs: &BTreeMap<String, VectorInput>,
    policies: &[PersonaPolicy],
) -> Resolution {
    let mut oldest_first: Vec<_> = policies.iter().collect();
    oldest_first.sort_by_key(|policy| age(policy));
    let mut accepted: Vec<ResolvedPolicy> = Vec::new();
    let mut rejected = misplaced(policies);
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
    accepted.sort_by(|a, b| a.name.cmp(&b.name));
    let rules = || accepted.iter().flat_map(|policy| &policy.traits);
    let used: BTreeSet<_> = rules().map(|rule| &rule.vector).collect();
    let own: Vec<_> =
        used.into_iter().filter_map(|name| Some((name.clone(), inputs.get(name)?))).collect();
    let mut values: BTreeMap<_, _> =
        own.iter().map(|(name, vector)| (name.clone(), vector.values.clone())).collect();
    let mut vectors: BTreeMap<_, _> =
        own.into_iter().map(|(name, vector)| (name, resolved_vector(vector))).collect();
    for rule in rules() {
        let Some(vector) = inputs.get(&rule.vector) else { continue };
        for part in parts(rule.steer.as_ref(), rule.cap.as_ref()) {
            let (name, Some(part_values)) = (part.name(&rule.vector), part.values(&vector.layers))
            else {
                continue;
            };
            vectors.insert(name.clone(), resolved_part(vector, part, &part_values));
            values.insert(name, part_values);
        }
    }
    let config = GuardConfig {
        api_version: API_VERSION.to_owned(),
        kind: GuardConfig::KIND.to_owned(),
        model: served_model(model),
        vectors,
        policies: accepted,
        unresolved: Vec::new(),
    };
    Resolution { config, values, rejected }
}

/// Creation time, then name: what decides which of two policies stands. Without a cluster all are
/// equally old.
#[must_use]
pub fn age(policy: &PersonaPolicy) -> (Timestamp, String) {
    (policy.creation_timestamp().map_or(Timestamp::MIN, |time| time.0), policy.name_any())
}

/// Policies that do not go with the oldest one's placement, by name: a pod has one sidecar for a
/// model, and it stands in one place.
#[must_use]
pub fn misplaced<'a>(
    policies: impl IntoIterator<Item = &'a PersonaPolicy>,
) -> BTreeMap<String, Rejection> {
    let policies: Vec<_> = policies.into_iter().collect();
    let Some(oldest) = policies.iter().min_by_key(|policy| age(policy)) else {
        return BTreeMap::new();
    };
    let place = |policy: &PersonaPolicy| (policy.spec.placement, policy.spec.port.clone());
    let other = policies.iter().filter(|policy| place(policy) != place(oldest));
    let rejection = || {
        let (placement, port) = place(oldest);
        let port = port.map(|port| format!(" on port `{port}`")).unwrap_or_default();
        let message = format!(
            "the older policy `{}` for this model has placement {placement:?}{port}: use the same, or another namespace",
            oldest.name_any()
        );
        Rejection::new(reason::PLACEMENT_CONFLICT, message)
    };
    other.map(|policy| (policy.name_any(), rejection())).collect()
}

/// A sidecar in front of another server changes no activations, and needs to know which port to
/// take.
fn placed(policy: &PersonaPolicy) -> Result<(), Rejection> {
    let spec = &policy.spec;
    let invalid = |message| Err(Rejection::new(reason::PLACEMENT_INVALID, message));
    match (spec.placement, &spec.port) {
        (Placement::Serve, Some(_)) => {
            invalid("spec.port goes with placement Proxy: leave it out".to_owned())
        }
        (Placement::Proxy, None) => invalid(
            "placement Proxy takes over a container port: give its name in spec.port".to_owned(),
        ),
        (Placement::Proxy, Some(_)) => {
            if let Some(rule) = spec.traits.iter().find(|rule| !rule.action.works_in_proxy()) {
                return invalid(format!(
                    "trait `{}` has action {:?}, and another server writes the answers in placement Proxy: use Audit, Alert, Redact or Block",
                    rule.vector, rule.action
                ));
            }
            let steers = |rule: &&TraitRule| {
                rule.requests.is_some_and(|requests| requests.coefficient.is_some())
            };
            match spec.traits.iter().find(steers) {
                Some(rule) => invalid(format!(
                    "trait `{}` lets callers steer, and another server writes the answers in placement Proxy: leave requests.coefficient out",
                    rule.vector
                )),
                None => Ok(()),
            }
        }
        (Placement::Serve, None) => Ok(()),
    }
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
                "spec.selector does not parse ({error}): use operators In, NotIn, Exists and DoesNotExist"
            ),
        ));
    }
    placed(policy)?;
    if spec.traits.is_empty() {
        return Err(Rejection::new(
            reason::VECTOR_NOT_FOUND,
            "spec.traits is empty: name at least one PersonaVector",
        ));
    }
    consistent(spec)?;
    let mut seen = BTreeSet::new();
    let mut traits = Vec::with_capacity(spec.traits.len());
    let mut content = vec![model.spec.sha256.to_string()];
    for rule in &spec.traits {
        if !seen.insert(&rule.vector) {
            let message =
                format!("spec.traits names vector `{}` twice: keep one entry of it", rule.vector);
            return Err(Rejection::new(reason::DUPLICATE_VECTOR, message));
        }
        let vector = vectors.get(&rule.vector).ok_or_else(|| {
            let message = format!(
                "PersonaVector `{0}` does not exist: create it, or correct spec.traits (kubectl get personavectors)",
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
        let (min, max) = bounds(rule, &scale)?;
        complete(rule)?;
        coherent(rule)?;
        condition(rule, &spec.traits, vectors)?;
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

/// What sidecars are told of a policy that is not enforced; nothing of one that would change
/// nothing.
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

/// Whether answers may be written under the vector, by the policy or because a caller asks.
fn moves_activations(rule: &TraitRule) -> bool {
    matches!(rule.action, Action::Steer | Action::Cap | Action::Regenerate)
        || rule.requests.is_some_and(|requests| requests.coefficient.is_some())
}

/// The parts of a rule fit its action. The API server checks the same; manifests that are read from
/// a folder had none.
fn complete(rule: &TraitRule) -> Result<(), Rejection> {
    let given = [
        (Action::Steer, rule.steer.is_some(), "steer"),
        (Action::Cap, rule.cap.is_some(), "cap"),
        (Action::Regenerate, rule.regenerate.is_some(), "regenerate"),
        (Action::Redact, rule.redact.is_some(), "redact"),
    ];
    if let Some((action, _, field)) =
        given.into_iter().find(|(action, given, _)| (rule.action == *action) != *given)
    {
        let message = format!(
            "trait `{}`: {field} goes with action {action:?}, and nowhere else",
            rule.vector
        );
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    let odd = |floor: Option<f64>, ceiling: Option<f64>| {
        let sides: Vec<f64> = [floor, ceiling].into_iter().flatten().collect();
        sides.is_empty() || sides.iter().any(|side| !side.is_finite()) || !sides.is_sorted()
    };
    let own =
        |cap: &Capping| !cap.layers.is_empty() && cap.floor.is_none() && cap.ceiling.is_none();
    if rule.cap.as_ref().is_some_and(|cap| {
        (!own(cap) && odd(cap.floor, cap.ceiling))
            || cap.layers.iter().any(|bounds| odd(bounds.floor, bounds.ceiling))
    }) {
        let message = format!(
            "trait `{}`: give cap.floor, cap.ceiling or both, with the floor below",
            rule.vector
        );
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    let layers = parts(rule.steer.as_ref(), rule.cap.as_ref());
    if layers.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = format!("trait `{}`: give each of its layers once", rule.vector);
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    if rule.action == Action::Regenerate && rule.score == personaguard_api::Score::PromptLast {
        let message =
            format!("trait `{}`: action Regenerate goes with score ResponseAvg", rule.vector);
        return Err(Rejection::new(reason::ACTION_INCOMPLETE, message));
    }
    Ok(())
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
        "steer.coherence of trait `{}`: minLogLikelihood lies from -50 to 0, maxRepetition from 0 to 1",
        rule.vector
    );
    Err(Rejection::new(reason::ACTION_INCOMPLETE, message))
}

/// What decides about steering is read before it steers, and is measured anyway.
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
        return refuse(format!("`{name}` is no trait of this policy: add it, with action Audit"));
    }
    if let (Some(read), Some(steered)) = (vectors.get(name), vectors.get(&rule.vector))
        && let lowest = steer.layers.iter().min().unwrap_or(&steered.layer)
        && read.layer > *lowest
    {
        return refuse(format!(
            "`{name}` is read at layer {}, after layer {lowest} is steered: use a vector at a layer not above",
            read.layer
        ));
    }
    if steer.positions != personaguard_api::Positions::Response {
        return refuse("goes with positions Response".to_owned());
    }
    let until = when.until.unwrap_or(when.above);
    if !when.above.is_finite() || !until.is_finite() || until > when.above {
        return refuse("until must not lie above above, and both must be finite".to_owned());
    }
    Ok(())
}

/// What is enforced cannot be sampled; evidence that can never come together decides nothing.
fn consistent(spec: &PersonaPolicySpec) -> Result<(), Rejection> {
    let idle = |rule: &TraitRule| rule.action <= Action::Alert && rule.requests.is_none();
    let free = spec.mode == Mode::Audit
        || (spec.failure_policy == FailurePolicy::Open && spec.traits.iter().all(idle));
    if spec.sampling.is_some() && !free {
        let message = "what is enforced cannot be sampled: leave spec.sampling out, or use actions Audit and Alert with failurePolicy Open and without requests";
        return Err(Rejection::new(reason::SAMPLING_INVALID, message));
    }
    let valid = |sampling: personaguard_api::Sampling| match (sampling.fraction, sampling.every) {
        (Some(fraction), None) => fraction > 0.0 && fraction <= 1.0,
        (None, Some(every)) => every > 0,
        _ => false,
    };
    if spec.sampling.is_some_and(|sampling| !valid(sampling)) {
        let message = "give exactly one of sampling.fraction (above 0, at most 1) and sampling.every (at least 1)";
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

/// Thresholds of a trait as raw projections: (min, max).
fn bounds(rule: &TraitRule, scale: &Scale<'_>) -> Result<(Option<f64>, Option<f64>), Rejection> {
    let Some(threshold) = &rule.threshold else {
        return if rule.action == Action::Alert || rule.action.holds() {
            let message = format!(
                "trait `{}` has action {:?} and no threshold: give one of threshold.sigma, .quantile, .projection and .range",
                rule.vector, rule.action
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
                "threshold of trait `{}` must have exactly one of quantile, sigma, projection and range",
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

fn served_model(model: &PersonaModel) -> ServedModel {
    let runtime = &model.spec.runtime;
    ServedModel {
        name: model.name_any(),
        file: format!("{}/{}", names::MODEL_DIR, model.spec.source.path()),
        sha256: model.spec.sha256.clone(),
        context_length: runtime.context_length,
        max_concurrent: runtime.max_concurrent,
        threads: runtime.threads,
        device: runtime.device,
    }
}

/// The file does not go that far.
fn no_layer(rule: &TraitRule, part: Part, vector: &VectorInput) -> Rejection {
    let message = format!(
        "trait `{}` acts at layer {}, and the file of its PersonaVector has layers 1 to {}: correct the layers",
        rule.vector,
        part.layer(),
        vector.layers.len().saturating_sub(1)
    );
    Rejection::new(reason::LAYER_MISSING, message)
}

/// A part is not scored by itself.
fn resolved_part(vector: &VectorInput, part: Part, values: &[f32]) -> ResolvedVector {
    ResolvedVector {
        layer: part.layer(),
        sha256: digest_of(values),
        baseline: None,
        ..resolved_vector(vector)
    }
}

fn resolved_vector(vector: &VectorInput) -> ResolvedVector {
    ResolvedVector {
        trait_name: vector.trait_name.clone(),
        layer: vector.layer,
        model_digest: vector.model_digest.clone(),
        sha256: digest_of(&vector.values),
        baseline: vector
            .calibration
            .as_ref()
            .map(|calibration| Baseline {
                mean: calibration.mean,
                standard_deviation: calibration.standard_deviation,
            })
            .filter(Baseline::is_valid),
    }
}

#[cfg(test)]
mod tests;
