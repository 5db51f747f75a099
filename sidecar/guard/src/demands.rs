//! What one request asks for beyond its policies: stricter enforcement, or a steering coefficient,
//! within their bounds.

use super::plan::{Plan, Rule, Steer};
use personaguard_terms::{Action, Coefficient, Mode, Positions, RequestBounds};
use std::collections::BTreeMap;

/// What a request asks for, by the name of the vector.
pub type Demands = BTreeMap<String, Demand>;

/// What a request asks for about one trait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Block the answer at the trait's threshold.
    pub block: bool,
    /// A lower upper threshold.
    pub max: Option<f64>,
    /// A higher lower threshold.
    pub min: Option<f64>,
    /// Steer with this coefficient.
    pub coefficient: Option<Coefficient>,
}

/// Why a request may not have what it asks for. The texts name policies and vectors, and nothing of
/// the request but the vectors that it names.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Beyond {
    /// No policy on this service measures it.
    #[error("no policy on this service has a trait `{0}`")]
    Unknown(String),
    /// The policy does not let callers ask for this.
    #[error("policy `{policy}` does not let callers set `{what}` of `{vector}`")]
    NotAllowed {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// The field.
        what: &'static str,
    },
    /// A threshold that is looser than the policy's.
    #[error(
        "`{what}` of `{vector}` is looser than policy `{policy}`: callers may only make it stricter"
    )]
    Looser {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// The field.
        what: &'static str,
    },
    /// A coefficient outside the policy's range.
    #[error("the coefficient of `{vector}` must lie from {min} to {max} by policy `{policy}`")]
    Coefficient {
        /// Name of the policy.
        policy: String,
        /// Name of the vector.
        vector: String,
        /// Lowest that is allowed.
        min: f64,
        /// Highest that is allowed.
        max: f64,
    },
}

impl Plan {
    /// This plan with what a request asks for. Every policy that has the trait must allow it.
    ///
    /// # Errors
    /// If a policy does not.
    pub fn with(&self, demands: &Demands) -> Result<Self, Beyond> {
        let mut plan = self.clone();
        for (vector, demand) in demands {
            plan.tighten(vector, *demand)?;
        }
        Ok(plan)
    }

    fn tighten(&mut self, vector: &str, demand: Demand) -> Result<(), Beyond> {
        let tap = self.taps.iter().position(|tap| tap.vector == vector);
        let Some(tap) = tap.filter(|tap| self.rules.iter().any(|rule| rule.tap == *tap)) else {
            return Err(Beyond::Unknown(vector.to_owned()));
        };
        for rule in self.rules.iter_mut().filter(|rule| rule.tap == tap) {
            let policy = &self.policies[rule.policy];
            // A policy that only records changes no byte, whoever asks.
            let allowed =
                rule.requests.filter(|_| policy.mode == Mode::Enforce).unwrap_or_default();
            apply(rule, demand, allowed, &policy.name, vector)?;
        }
        if let Some(coefficient) = demand.coefficient {
            match self.steering.iter_mut().find(|steer| steer.tap == tap) {
                // Whoever asks for a coefficient wants it throughout.
                Some(steer) => (steer.coefficient, steer.when) = (coefficient, None),
                None => {
                    let positions = Positions::Response;
                    self.steering.push(Steer {
                        tap,
                        at: Vec::new(),
                        coefficient,
                        positions,
                        when: None,
                    });
                }
            }
        }
        Ok(())
    }
}

fn apply(
    rule: &mut Rule,
    demand: Demand,
    allowed: RequestBounds,
    policy: &str,
    vector: &str,
) -> Result<(), Beyond> {
    let not_allowed =
        |what| Beyond::NotAllowed { policy: policy.to_owned(), vector: vector.to_owned(), what };
    let looser =
        |what| Beyond::Looser { policy: policy.to_owned(), vector: vector.to_owned(), what };
    if demand.block {
        if !allowed.block {
            return Err(not_allowed("block"));
        }
        rule.action = Action::Block;
        (rule.redaction, rule.regenerate) = (None, None);
    }
    if let Some(max) = demand.max {
        if !allowed.threshold {
            return Err(not_allowed("max"));
        }
        if rule.bounds.max.is_some_and(|own| max > own) {
            return Err(looser("max"));
        }
        rule.bounds.max = Some(max);
    }
    if let Some(min) = demand.min {
        if !allowed.threshold {
            return Err(not_allowed("min"));
        }
        if rule.bounds.min.is_some_and(|own| min < own) {
            return Err(looser("min"));
        }
        rule.bounds.min = Some(min);
    }
    if let Some(coefficient) = demand.coefficient {
        let Some(range) = allowed.coefficient else { return Err(not_allowed("coefficient")) };
        if !(range.min..=range.max).contains(&coefficient) {
            let (min, max) = (range.min.get(), range.max.get());
            return Err(Beyond::Coefficient {
                policy: policy.to_owned(),
                vector: vector.to_owned(),
                min,
                max,
            });
        }
    }
    Ok(())
}
