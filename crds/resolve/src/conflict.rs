//! Policies on the same pods that contradict each other.

use crate::rejection::Rejection;
use personaguard_api::conditions::reason;
use personaguard_api::{Action, Capping, Layer, Mode};
use personaguard_wire::{ResolvedPolicy, ResolvedTrait, Selector};
use std::collections::{BTreeMap, BTreeSet};

/// Checks that a policy does not contradict those that were accepted before it. Steering adds up,
/// so two policies that steer the same pods along the same vector would do what neither of them
/// says. Two caps combine to the narrower of both, unless that leaves no room between floor and
/// ceiling.
///
/// # Errors
/// If it contradicts one of them.
pub fn no_conflict(
    new: ResolvedPolicy,
    accepted: &[ResolvedPolicy],
) -> Result<ResolvedPolicy, Rejection> {
    let acting = |policy: &ResolvedPolicy| policy.mode == Mode::Enforce;
    for older in accepted.iter().filter(|older| acting(older) && acting(&new)) {
        if !may_overlap(&older.selector, &new.selector) {
            continue;
        }
        for (theirs, mine) in
            older.traits.iter().flat_map(|a| new.traits.iter().map(move |b| (a, b)))
        {
            let Some(conflict) =
                (theirs.vector == mine.vector).then(|| conflict(theirs, mine)).flatten()
            else {
                continue;
            };
            let message = format!(
                "policy `{}`, which stands, {conflict}, and their selectors may select the same \
                 pods: \
                 let them agree, or use selectors that exclude each other",
                older.name
            );
            return Err(Rejection::new(reason::STEERING_CONFLICT, message));
        }
    }
    Ok(new)
}

/// How two rules on one vector contradict each other, if they do.
fn conflict(theirs: &ResolvedTrait, mine: &ResolvedTrait) -> Option<String> {
    let vector = &mine.vector;
    if let (Action::Steer(a), Action::Steer(b)) = (&theirs.action, &mine.action) {
        if a.coefficient != b.coefficient {
            let (a, b) = (a.coefficient.get(), b.coefficient.get());
            return Some(format!("steers along `{vector}` with {a}, this one with {b}"));
        }
        if a.layers != b.layers {
            return Some(format!("steers along `{vector}` at other layers than this one"));
        }
        if a.when != b.when {
            return Some(format!("steers along `{vector}` under another condition than this one"));
        }
    }
    if let (Action::Cap(a), Action::Cap(b)) = (&theirs.action, &mine.action) {
        for (layer, mine) in bounds(b) {
            let both = bounds(a)
                .into_iter()
                .filter(|(other, _)| *other == layer)
                .map(|(_, bounds)| bounds)
                .chain([mine]);
            let floor = both.clone().filter_map(|(floor, _)| floor).reduce(f64::max);
            let ceiling = both.filter_map(|(_, ceiling)| ceiling).reduce(f64::min);
            if let (Some(floor), Some(ceiling)) = (floor, ceiling)
                && floor > ceiling
            {
                return Some(format!(
                    "and this one cap `{vector}` at a floor of {floor} above a ceiling of {ceiling}"
                ));
            }
        }
    }
    None
}

type Bounds = (Option<f64>, Option<f64>);

/// Floor and ceiling at the vector's own layer (none), and at further ones.
fn bounds(cap: &Capping) -> Vec<(Option<Layer>, Bounds)> {
    let further =
        cap.layers.iter().map(|bounds| (Some(bounds.layer), (bounds.floor, bounds.ceiling)));
    std::iter::once((None, (cap.floor, cap.ceiling))).chain(further).collect()
}

/// Whether both could select the same pod. The answer is no only if both require values of one
/// label that have none in common; in doubt it is yes.
fn may_overlap(a: &Selector, b: &Selector) -> bool {
    let (a, b) = (allowed(a), allowed(b));
    a.iter().all(|(key, values)| {
        b.get(key).is_none_or(|others| values.iter().any(|value| others.contains(value)))
    })
}

/// The values that a selector allows, for each label of which it requires a value.
fn allowed(selector: &Selector) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in &selector.match_labels {
        allowed.insert(key, BTreeSet::from([value.as_str()]));
    }
    for expression in selector.match_expressions.iter().filter(|e| e.operator == "In") {
        let values: BTreeSet<_> = expression.values.iter().flatten().map(String::as_str).collect();
        allowed
            .entry(&expression.key)
            .and_modify(|known| known.retain(|value| values.contains(value)))
            .or_insert(values);
    }
    allowed
}
