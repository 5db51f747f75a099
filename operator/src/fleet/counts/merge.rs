//! Merges the counts and scores of several sidecar processes into one. Pure.

use super::convert::round6;
use jiff::Timestamp;
use personaguard_api::{self as api, DriftCharts, Totals, TraitScores};
use personaguard_wire::Sample;

pub(super) fn add(a: Totals, b: Totals) -> Totals {
    each(a, b, sum)
}

/// The counts of one process, of which none ever falls.
pub(super) fn at_least(before: Totals, now: Totals) -> Totals {
    each(before, now, u64::max)
}

fn each(a: Totals, b: Totals, of: impl Fn(u64, u64) -> u64) -> Totals {
    Totals {
        responses: of(a.responses, b.responses),
        breaches: of(a.breaches, b.breaches),
        blocked: of(a.blocked, b.blocked),
        unguarded: of(a.unguarded, b.unguarded),
        incoherent: of(a.incoherent, b.incoherent),
    }
}

/// Sums stop at what the API server stores, an int64: it would refuse the whole status otherwise.
fn sum(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(i64::MAX.unsigned_abs())
}

pub(super) fn without_sample(scores: &TraitScores) -> TraitScores {
    TraitScores { sample: None, ..scores.clone() }
}

/// Merges scores into a list that is ordered by policy and vector and has at most `max_len`
/// entries.
pub(super) fn merge_into(list: &mut Vec<TraitScores>, scores: &TraitScores, max_len: usize) {
    let key = |entry: &TraitScores| (entry.policy.clone(), entry.vector.clone());
    match list.binary_search_by(|entry| key(entry).cmp(&key(scores))) {
        Ok(index) => list[index] = merge(&list[index], scores),
        Err(index) if list.len() < max_len => list.insert(index, scores.clone()),
        Err(_) => {}
    }
}

/// Live pods are merged into those that are gone, so `b` is the newer one unless the breaches tell
/// otherwise.
fn merge(a: &TraitScores, b: &TraitScores) -> TraitScores {
    let (mean, sum_squared_deviations) = merge_moments(a, b);
    let latest = if last_breach_at(b) > last_breach_at(a) { b } else { a };
    // Score, action and mode belong together.
    let said = if latest.last_breach.is_some() { latest } else { b };
    TraitScores {
        policy: a.policy.clone(),
        vector: a.vector.clone(),
        score: said.score,
        action: said.action,
        mode: said.mode,
        scored: sum(a.scored, b.scored),
        breaches: sum(a.breaches, b.breaches),
        mean,
        sum_squared_deviations,
        max: match (a.max, b.max) {
            (Some(x), Some(y)) => Some(x.max(y)),
            (x, y) => x.or(y),
        },
        last_breach: latest.last_breach.clone(),
        drift: merge_drift(a, b),
        sample: merge_samples(a.sample.as_ref(), b.sample.as_ref()),
    }
}

fn last_breach_at(scores: &TraitScores) -> Option<Timestamp> {
    scores.last_breach.as_ref().map(|breach| breach.at.0)
}

/// Mean and sum of squared deviations of both together, by Chan, Golub and LeVeque (1979).
#[allow(clippy::cast_precision_loss)] // counts of responses are far below 2^53
fn merge_moments(a: &TraitScores, b: &TraitScores) -> (Option<f64>, f64) {
    let (n, m) = (a.scored as f64, b.scored as f64);
    match (a.mean.filter(|_| a.scored > 0), b.mean.filter(|_| b.scored > 0)) {
        (Some(x), Some(y)) => {
            let delta = y - x;
            let squares = a.sum_squared_deviations
                + b.sum_squared_deviations
                + delta * delta * n * m / (n + m);
            (Some(x + delta * m / (n + m)), squares)
        }
        (Some(x), None) => (Some(x), a.sum_squared_deviations),
        (None, y) => (y, b.sum_squared_deviations),
    }
}

/// Samples on the same basis are added up. On different ones the newer, `b`, replaces the older.
fn merge_samples(a: Option<&api::Sample>, b: Option<&api::Sample>) -> Option<api::Sample> {
    let (Some(x), Some(y)) = (a, b) else { return b.or(a).cloned() };
    if x.basis != y.basis {
        return Some(y.clone());
    }
    let mut merged = Sample::from(y.clone());
    merged.merge(&x.clone().into());
    merged.sketch = merged.sketch.rounded();
    Some(merged.into())
}

/// The mean shift, weighted by responses; of the charts, the more alarming value of the two.
#[allow(clippy::cast_precision_loss)] // counts of responses are far below 2^53
fn merge_drift(a: &TraitScores, b: &TraitScores) -> Option<DriftCharts> {
    let (Some(x), Some(y)) = (a.drift, b.drift) else { return a.drift.or(b.drift) };
    let (n, m) = (a.scored as f64, b.scored as f64);
    let shift = if n + m > 0.0 { (n * x.shift + m * y.shift) / (n + m) } else { 0.0 };
    Some(DriftCharts {
        shift: round6(shift),
        up: x.up.max(y.up),
        down: x.down.max(y.down),
        detected: x.detected || y.detected,
    })
}
