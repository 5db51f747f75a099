//! What a push changed. Pure.

use personaguard_api::{ActionKind, AuditLogCut, LastBreach, Mode, PodCounts, Score, TraitScores};

/// A breach that was not known before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewBreach {
    pub(crate) policy: String,
    pub(crate) vector: String,
    pub(crate) score: Score,
    pub(crate) pod: String,
    pub(crate) action: ActionKind,
    pub(crate) mode: Mode,
    pub(crate) breach: LastBreach,
}

/// What a push changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PushEffect {
    /// Counts or scores.
    pub(crate) counts: bool,
    /// What conditions follow from: acknowledgements, refusals, the state of the sidecar.
    pub(crate) state: bool,
    /// A response with a breach ended, so the breach is now counted. It was reported earlier.
    pub(crate) breach_counted: bool,
    /// Drift of a trait began or ended.
    pub(crate) drift: bool,
    /// The audit log went back, or tells of another gap.
    pub(crate) log_gap: bool,
    pub(crate) breaches: Vec<NewBreach>,
    /// What another process said of the pod is forgotten.
    pub(crate) displaced: bool,
}

impl PushEffect {
    /// `known` is the last push of the same pod, if there is one.
    pub(super) fn of(known: Option<&PodCounts>, new: &PodCounts) -> Self {
        let breaches = new_breaches(known, new);
        let Some(known) = known else {
            return Self {
                counts: true,
                state: true,
                breach_counted: new.totals.breaches > 0,
                drift: new.traits.iter().any(drifts),
                log_gap: log_gaps(new) != (0, None),
                breaches,
                displaced: false,
            };
        };
        Self {
            counts: known.totals != new.totals
                || known.traits != new.traits
                || known.audit_log != new.audit_log
                || known.instance != new.instance,
            state: !same_state(known, new),
            breach_counted: new.totals.breaches != known.totals.breaches,
            drift: known.traits.iter().map(drifts).ne(new.traits.iter().map(drifts)),
            log_gap: log_gaps(known) != log_gaps(new),
            breaches,
            displaced: false,
        }
    }
}

/// Gaps that the audit log tells of, and how it went back.
fn log_gaps(pod: &PodCounts) -> (u64, Option<&AuditLogCut>) {
    pod.audit_log.as_ref().map_or((0, None), |log| (log.gaps, log.cut.as_ref()))
}

/// Whether the same conditions follow from both.
fn same_state(a: &PodCounts, b: &PodCounts) -> bool {
    a.model == b.model
        && a.policies == b.policies
        && a.failure == b.failure
        && a.config_error == b.config_error
        && a.state == b.state
        && a.model_digest == b.model_digest
        && a.connections.shows_use() == b.connections.shows_use()
        && a.connections.shows_bypass() == b.connections.shows_bypass()
}

fn drifts(scores: &TraitScores) -> bool {
    scores.drift.is_some_and(|charts| charts.detected)
}

fn new_breaches(before: Option<&PodCounts>, after: &PodCounts) -> Vec<NewBreach> {
    let known = before.filter(|before| before.instance == after.instance);
    let new = after.traits.iter().filter_map(|scores| {
        let breach = scores.last_breach.as_ref()?;
        let before = known
            .and_then(|known| {
                known.traits.iter().find(|t| t.policy == scores.policy && t.vector == scores.vector)
            })
            .map_or(0, |known| known.breaches);
        (scores.breaches > before).then(|| NewBreach {
            policy: scores.policy.clone(),
            vector: scores.vector.clone(),
            score: scores.score,
            pod: after.name.clone(),
            action: scores.action,
            mode: scores.mode,
            breach: breach.clone(),
        })
    });
    new.collect()
}
