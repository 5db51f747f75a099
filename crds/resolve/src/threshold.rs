//! Thresholds as raw projections.

use crate::rejection::Rejection;
use crate::scale::Scale;
use personaguard_api::conditions::reason;
use personaguard_api::{Action, Threshold, TraitRule};

/// The range that a rule's score must stay in, as raw projections: (min, max). A limit that is not
/// given, or not known yet, is `None`.
pub(super) fn limits(
    rule: &TraitRule,
    scale: &Scale<'_>,
) -> Result<(Option<f64>, Option<f64>), Rejection> {
    let Some(threshold) = &rule.threshold else {
        return if rule.action == Action::Alert || rule.action.holds() {
            let message = format!(
                "trait `{}` has action {:?} and no threshold: give one of threshold.sigma, \
                 .quantile, .projection and .range",
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
