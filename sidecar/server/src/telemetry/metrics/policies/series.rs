//! The series that exist because of the policies in force.

use personaguard_guard::{Plan, Rule};
use personaguard_terms::Mode;
use prometheus_client::encoding::EncodeLabelSet;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct PolicyLabels {
    pub(super) policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct TraitLabels {
    policy: String,
    r#trait: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct SectionLabels {
    policy: String,
    r#trait: String,
    section: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct BoundLabels {
    policy: String,
    r#trait: String,
    bound: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct BreachLabels {
    policy: String,
    r#trait: String,
    action: &'static str,
    mode: &'static str,
}

impl TraitLabels {
    pub(super) fn of(plan: &Plan, rule: &Rule) -> Self {
        Self {
            policy: plan.policies[rule.policy].name.clone(),
            r#trait: plan.vectors[rule.vector].trait_name.clone(),
        }
    }
}

impl SectionLabels {
    pub(super) const REASONING: &'static str = "reasoning";
    pub(super) const ANSWER: &'static str = "answer";

    pub(super) fn of(labels: &TraitLabels, section: &'static str) -> Self {
        let TraitLabels { policy, r#trait } = labels.clone();
        Self { policy, r#trait, section }
    }
}

impl BoundLabels {
    /// The thresholds of a rule.
    pub(super) fn of(plan: &Plan, rule: &Rule) -> impl Iterator<Item = (Self, f64)> {
        let TraitLabels { policy, r#trait } = TraitLabels::of(plan, rule);
        let bounds = [("min", rule.bounds.min), ("max", rule.bounds.max)];
        bounds.into_iter().filter_map(move |(bound, value)| {
            let labels = Self { policy: policy.clone(), r#trait: r#trait.clone(), bound };
            Some((labels, value?))
        })
    }
}

impl BreachLabels {
    pub(super) fn of(plan: &Plan, rule: &Rule) -> Self {
        let TraitLabels { policy, r#trait } = TraitLabels::of(plan, rule);
        let mode = mode_label(plan.policies[rule.policy].mode);
        Self { policy, r#trait, action: rule.declared_action.name(), mode }
    }
}

/// The series that exist because of a plan.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) policies: BTreeSet<PolicyLabels>,
    pub(super) traits: BTreeSet<TraitLabels>,
    pub(super) bounds: BTreeSet<BoundLabels>,
    pub(super) breaches: BTreeSet<BreachLabels>,
}

impl Series {
    pub(super) fn of(plan: &Plan) -> Self {
        let policies = plan.policies.iter().filter(|policy| policy.unresolved.is_none());
        let bounds = plan.rules.iter().flat_map(|rule| BoundLabels::of(plan, rule));
        Self {
            policies: policies.map(|p| PolicyLabels { policy: p.name.clone() }).collect(),
            traits: plan.rules.iter().map(|rule| TraitLabels::of(plan, rule)).collect(),
            bounds: bounds.map(|(labels, _)| labels).collect(),
            breaches: plan.rules.iter().map(|rule| BreachLabels::of(plan, rule)).collect(),
        }
    }
}

/// The mode, as policies name it.
fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Audit => "Audit",
        Mode::Enforce => "Enforce",
    }
}
