//! Plans that steer more or less than the policies say.

use super::Plan;
use super::intervention::PlannedSteering;
use crate::back_off::BackOff;
use personaguard_terms::{Action, Coefficient};

impl Plan {
    /// How often a response may be written again, at most.
    #[must_use]
    pub fn max_retries(&self) -> u32 {
        let attempts = self.rules.iter().map(|rule| match &rule.action {
            Action::Regenerate(regeneration) => regeneration.attempts,
            _ => 0,
        });
        attempts.max().unwrap_or(0)
    }

    /// The plan for writing a response again (`attempt` 1 is the first time): steered along each
    /// vector whose rule is `breached`, further with each attempt.
    #[must_use]
    pub fn for_retry(&self, breached: impl Fn(usize) -> bool, attempt: u32) -> Self {
        let mut plan = self.clone();
        for (_, rule) in self.rules.iter().enumerate().filter(|(index, _)| breached(*index)) {
            let Action::Regenerate(regeneration) = &rule.action else { continue };
            let factor = f64::from(attempt.min(regeneration.attempts));
            let coefficient = scaled(regeneration.coefficient, factor);
            plan.steering.push(PlannedSteering::of_response(rule.vector, coefficient));
        }
        plan
    }

    /// The plan with less steering: half as far with each level, and none at [`BackOff::OFF`].
    #[must_use]
    pub fn backed_off(&self, level: u8) -> Self {
        let mut plan = Self { back_off_level: level, ..self.clone() };
        if level >= BackOff::OFF {
            plan.steering.clear();
        }
        for steering in &mut plan.steering {
            steering.coefficient = scaled(steering.coefficient, BackOff::scale(level));
        }
        plan
    }
}

/// A coefficient times a factor, within the limits of coefficients.
fn scaled(coefficient: Coefficient, factor: f64) -> Coefficient {
    let scaled = (coefficient.get() * factor).clamp(-Coefficient::LIMIT, Coefficient::LIMIT);
    // It is within the limits.
    scaled.try_into().unwrap_or(coefficient)
}
