//! Numbers of a config: YAML can write `.nan` and `.inf`, and a threshold that is no number is
//! never passed.

use super::{Baseline, GuardConfig, GuardConfigError, ResolvedPolicy, ResolvedTrait};
use personaguard_terms::Action;

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
        let steer = steer.into_iter().flat_map(|steer| {
            let when = steer.when.iter().flat_map(|when| [Some(when.above), when.until]);
            let limits = [steer.coherence.min_log_likelihood, steer.coherence.max_repetition];
            limits.map(Some).into_iter().chain(when)
        });
        let cap = cap.into_iter().flat_map(|cap| {
            let further = cap.layers.iter().flat_map(|bounds| [bounds.floor, bounds.ceiling]);
            [cap.floor, cap.ceiling].into_iter().chain(further)
        });
        let numbers = [self.min, self.max].into_iter().chain(steer).chain(cap);
        numbers.flatten().all(f64::is_finite)
            && self.baseline.as_ref().is_none_or(Baseline::is_valid)
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
