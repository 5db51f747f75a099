//! Breaches that are active: recent enough that their policy has not recovered yet. Pure.

use jiff::{SignedDuration, Timestamp};
use personaguard_api::{LastBreach, PersonaPolicy, Score, TraitScores};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActiveBreach {
    pub(crate) policy: String,
    pub(crate) vector: String,
    pub(crate) score: Score,
    pub(crate) breach: LastBreach,
    /// For how long it stays active, unless there is another one.
    pub(crate) left: Duration,
}

impl ActiveBreach {
    /// `evil 5.1 > 4.2`.
    pub(crate) fn comparison(&self) -> String {
        comparison(&self.vector, self.score, &self.breach)
    }

    /// How far the score is past the threshold.
    pub(crate) fn excess(&self) -> f64 {
        excess(&self.breach)
    }
}

/// Breaches of a policy within its recovery time. Breaches of a former policy of the same name do
/// not count.
pub(crate) fn active_breaches(
    policy: &PersonaPolicy,
    traits: &[TraitScores],
    now: Timestamp,
) -> Vec<ActiveBreach> {
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let created = policy.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
    let recovery = SignedDuration::from_secs(i64::from(policy.spec.recover_after_seconds));
    let active = traits.iter().filter(|scores| scores.policy == name).filter_map(|scores| {
        let breach = scores.last_breach.as_ref()?;
        let listed = policy.spec.traits.iter().any(|rule| rule.vector == scores.vector);
        if breach.at.0 < created || !listed {
            return None;
        }
        let left = breach.at.0.checked_add(recovery).ok()?.duration_since(now);
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero())?;
        Some(ActiveBreach {
            policy: name.to_owned(),
            vector: scores.vector.clone(),
            score: scores.score,
            breach: breach.clone(),
            left,
        })
    });
    active.collect()
}

/// `evil 5.1 > 4.2`, with the score where it is not what most policies compare: `evil/AnswerAvg 5.1
/// > 4.2`.
pub(super) fn comparison(vector: &str, score: Score, breach: &LastBreach) -> String {
    let sign = if breach.score < breach.threshold { '<' } else { '>' };
    let name = if score.is_default() { String::new() } else { format!("/{}", score.name()) };
    format!("{vector}{name} {:.1} {sign} {:.1}", breach.score, breach.threshold)
}

pub(super) fn excess(breach: &LastBreach) -> f64 {
    (breach.score - breach.threshold).abs()
}

#[cfg(test)]
mod tests;
