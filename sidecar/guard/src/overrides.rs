//! What one request asks for on top of its policies: stricter enforcement, or a steering
//! coefficient, within their bounds.

mod error;

pub use error::OverrideError;

use crate::plan::{Plan, PlannedSteering, Rule};
use personaguard_terms::{Action, Coefficient, Mode, RequestBounds};
use std::collections::BTreeMap;

/// What a request asks for, by the name of the vector.
pub type Overrides = BTreeMap<String, Override>;

/// What a request asks for about one trait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Override {
    /// Block the response at the trait's threshold.
    pub block: bool,
    /// A lower upper threshold.
    pub max: Option<f64>,
    /// A higher lower threshold.
    pub min: Option<f64>,
    /// Steer with this coefficient.
    pub coefficient: Option<Coefficient>,
}

impl Plan {
    /// This plan with what a request asks for. Every policy that has the trait must allow it.
    ///
    /// # Errors
    /// If a policy does not.
    pub fn with_overrides(&self, overrides: &Overrides) -> Result<Self, OverrideError> {
        let mut plan = self.clone();
        for (vector, asked) in overrides {
            plan.apply_override(vector, *asked)?;
        }
        Ok(plan)
    }

    fn apply_override(&mut self, name: &str, asked: Override) -> Result<(), OverrideError> {
        let vector = self.vectors.iter().position(|vector| vector.name == name);
        let has_rule = |vector: &usize| self.rules.iter().any(|rule| rule.vector == *vector);
        let unknown = || OverrideError::UnknownTrait(name.to_owned());
        let vector = vector.filter(has_rule).ok_or_else(unknown)?;
        for rule in self.rules.iter_mut().filter(|rule| rule.vector == vector) {
            let policy = &self.policies[rule.policy];
            // A policy that only records changes no byte, whoever asks.
            let allowed = rule.requests.filter(|_| policy.mode == Mode::Enforce);
            let subject = Subject { policy: &policy.name, vector: name };
            subject.tighten(rule, asked, allowed.unwrap_or_default())?;
        }
        if let Some(coefficient) = asked.coefficient {
            match self.steering.iter_mut().find(|steering| steering.vector == vector) {
                // A request that gives a coefficient wants it throughout.
                Some(steering) => (steering.coefficient, steering.gate) = (coefficient, None),
                None => self.steering.push(PlannedSteering::of_response(vector, coefficient)),
            }
        }
        Ok(())
    }
}

/// The policy and vector that an override is about.
struct Subject<'a> {
    policy: &'a str,
    vector: &'a str,
}

impl Subject<'_> {
    fn tighten(
        &self,
        rule: &mut Rule,
        asked: Override,
        allowed: RequestBounds,
    ) -> Result<(), OverrideError> {
        if asked.block {
            self.check("block", allowed.block)?;
            rule.action = Action::Block;
        }
        if let Some(max) = asked.max {
            self.check("max", allowed.threshold && max.is_finite())?;
            if rule.bounds.max.is_some_and(|own| max > own) {
                return Err(self.looser("max"));
            }
            rule.bounds.max = Some(max);
        }
        if let Some(min) = asked.min {
            self.check("min", allowed.threshold && min.is_finite())?;
            if rule.bounds.min.is_some_and(|own| min < own) {
                return Err(self.looser("min"));
            }
            rule.bounds.min = Some(min);
        }
        if let Some(coefficient) = asked.coefficient {
            let range = allowed.coefficient.ok_or_else(|| self.not_allowed("coefficient"))?;
            if !(range.min..=range.max).contains(&coefficient) {
                return Err(OverrideError::Coefficient {
                    policy: self.policy.to_owned(),
                    vector: self.vector.to_owned(),
                    min: range.min.get(),
                    max: range.max.get(),
                });
            }
        }
        Ok(())
    }

    fn check(&self, field: &'static str, allowed: bool) -> Result<(), OverrideError> {
        if allowed { Ok(()) } else { Err(self.not_allowed(field)) }
    }

    fn not_allowed(&self, field: &'static str) -> OverrideError {
        let (policy, vector) = (self.policy.to_owned(), self.vector.to_owned());
        OverrideError::NotAllowed { policy, vector, field }
    }

    fn looser(&self, field: &'static str) -> OverrideError {
        let (policy, vector) = (self.policy.to_owned(), self.vector.to_owned());
        OverrideError::Looser { policy, vector, field }
    }
}
