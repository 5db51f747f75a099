//! Numbers of a config: YAML can write `.nan` and `.inf`, and a threshold that is no number is
//! never passed.

use super::{Baseline, GuardConfig, GuardConfigError, ResolvedPolicy, ResolvedTrait};
use personaguard_terms::{Action, Steering, is_computable};

impl Baseline {
    /// Whether scores can be held against it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.mean.is_finite()
            && self.standard_deviation.is_finite()
            && self.standard_deviation > 0.0
    }
}

impl ResolvedTrait {
    /// Whether every number of it is one.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let limits = match &self.action {
            Action::Steer(Steering { coherence, .. }) => {
                [Some(coherence.min_log_likelihood), Some(coherence.max_repetition)]
            }
            _ => [None; 2],
        };
        let numbers = [self.min, self.max].into_iter().chain(limits).flatten();
        numbers.chain(self.engine_numbers()).all(f64::is_finite)
            && self.baseline.as_ref().is_none_or(Baseline::is_valid)
    }

    /// Whether those that the engine computes with are numbers for it too.
    #[must_use]
    pub fn is_computable(&self) -> bool {
        self.engine_numbers().all(is_computable)
    }

    fn engine_numbers(&self) -> impl Iterator<Item = f64> {
        let (steer, cap) = match &self.action {
            Action::Steer(steer) => (Some(steer), None),
            Action::Cap(cap) => (None, Some(cap)),
            // None of their parameters is a fraction.
            Action::Audit
            | Action::Alert
            | Action::Regenerate(_)
            | Action::Redact(_)
            | Action::Block => (None, None),
        };
        let when = steer.and_then(|steer| steer.when.as_ref());
        let when = when.into_iter().flat_map(|when| [Some(when.above), when.until]);
        let cap = cap.into_iter().flat_map(|cap| {
            let further = cap.layers.iter().flat_map(|bounds| [bounds.floor, bounds.ceiling]);
            [cap.floor, cap.ceiling].into_iter().chain(further)
        });
        when.chain(cap).flatten()
    }
}

impl ResolvedPolicy {
    fn has_valid_sampling(&self) -> bool {
        let fraction = self.sampling.and_then(|sampling| sampling.fraction);
        fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction))
    }
}

/// Checks every number of a config.
pub(super) fn check(config: &GuardConfig) -> Result<(), GuardConfigError> {
    let invalid = |what: String| Err(GuardConfigError::NotFinite(what));
    for (name, vector) in &config.vectors {
        if !vector.baseline.as_ref().is_none_or(Baseline::is_valid) {
            return invalid(format!("the baseline of vector `{name}`"));
        }
    }
    for policy in &config.policies {
        if !policy.has_valid_sampling() {
            return invalid(format!("sampling.fraction of policy `{}`", policy.name));
        }
        if let Some(rule) = policy.traits.iter().find(|rule| !rule.is_finite()) {
            return invalid(format!("trait `{}` of policy `{}`", rule.vector, policy.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
