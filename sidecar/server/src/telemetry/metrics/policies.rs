//! Metrics of the policies in force.

mod series;

use super::register::register;
use personaguard_guard::{Plan, Rule, RunningScore};
use personaguard_terms::metrics::sidecar as names;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use series::{BoundLabels, BreachLabels, PolicyLabels, SectionLabels, Series, TraitLabels};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

type FloatGauge = Gauge<f64, AtomicU64>;

/// Metrics of the policies in force.
#[derive(Debug)]
pub struct PolicyMetrics {
    generation: Family<PolicyLabels, Gauge>,
    unsampled: Family<PolicyLabels, Counter>,
    score: Family<TraitLabels, Histogram, fn() -> Histogram>,
    section_score: Family<SectionLabels, Histogram, fn() -> Histogram>,
    threshold: Family<BoundLabels, FloatGauge>,
    breaches: Family<BreachLabels, Counter>,
    steering_scale: FloatGauge,
    series: Mutex<Series>,
}

/// Buckets for the projections of small and large models alike: they grow by half on either side
/// of 0.
fn score_histogram() -> Histogram {
    const STEPS: [f64; 12] = [0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0, 50.0, 100.0, 200.0];
    Histogram::new(STEPS.iter().rev().map(|step| -step).chain([0.0]).chain(STEPS))
}

impl PolicyMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let metrics = Self {
            generation: register(
                r,
                names::POLICY_GENERATION,
                "Generation of a policy in force",
                Family::default(),
            ),
            unsampled: register(
                r,
                names::UNSAMPLED,
                "Responses that a policy's sampling left out",
                Family::default(),
            ),
            score: register(
                r,
                names::TRAIT_SCORE,
                "Scores of responses, in units of the model's activations",
                Family::new_with_constructor(score_histogram),
            ),
            section_score: register(
                r,
                names::TRAIT_SECTION_SCORE,
                "Scores of the reasoning and of the answer, of responses that have both",
                Family::new_with_constructor(score_histogram),
            ),
            threshold: register(
                r,
                names::TRAIT_THRESHOLD,
                "Thresholds in force, in units of the model's activations",
                Family::default(),
            ),
            breaches: register(
                r,
                names::TRAIT_BREACHES,
                "Responses past a threshold",
                Family::default(),
            ),
            steering_scale: register(
                r,
                names::STEERING_SCALE,
                "Factor on the policies' steering: 1 as they say, 0 not at all",
                FloatGauge::default(),
            ),
            series: Mutex::default(),
        };
        metrics.steering_scale.set(1.0);
        metrics
    }

    /// A plan came into force: its series start at zero, those of policies that are gone end.
    pub fn apply(&self, plan: &Plan) {
        self.steering_scale.set(1.0);
        for policy in plan.policies.iter().filter(|policy| policy.unresolved.is_none()) {
            let labels = PolicyLabels { policy: policy.name.clone() };
            self.generation.get_or_create(&labels).set(policy.generation);
            if policy.sampling.is_some() {
                drop(self.unsampled.get_or_create(&labels));
            }
        }
        for rule in &plan.rules {
            drop(self.score.get_or_create(&TraitLabels::of(plan, rule)));
            drop(self.breaches.get_or_create(&BreachLabels::of(plan, rule)));
            for (labels, value) in BoundLabels::of(plan, rule) {
                self.threshold.get_or_create(&labels).set(value);
            }
        }
        let next = Series::of(plan);
        let mut series = self.series();
        for gone in series.policies.difference(&next.policies) {
            self.generation.remove(gone);
            self.unsampled.remove(gone);
        }
        for gone in series.traits.difference(&next.traits) {
            self.score.remove(gone);
            for section in [SectionLabels::REASONING, SectionLabels::ANSWER] {
                self.section_score.remove(&SectionLabels::of(gone, section));
            }
        }
        for gone in series.bounds.difference(&next.bounds) {
            self.threshold.remove(gone);
        }
        for gone in series.breaches.difference(&next.breaches) {
            self.breaches.remove(gone);
        }
        *series = next;
    }

    // What follows counts for the policies in force only: a long response may outlive its policy.

    /// A rule of a plan scored a response.
    pub fn observe_score(&self, plan: &Plan, rule: &Rule, score: f64) {
        let labels = TraitLabels::of(plan, rule);
        if self.series().traits.contains(&labels) {
            self.score.get_or_create(&labels).observe(score);
        }
    }

    /// The reasoning and the answer of a response, along the vector of a plan's rule.
    pub fn observe_sections(&self, plan: &Plan, rule: &Rule, score: &RunningScore) {
        let labels = TraitLabels::of(plan, rule);
        if !self.series().traits.contains(&labels) {
            return;
        }
        let sections = [
            (SectionLabels::REASONING, score.reasoning_avg()),
            (SectionLabels::ANSWER, score.answer_avg()),
        ];
        for (section, score) in sections {
            if let Some(score) = score {
                let labels = SectionLabels::of(&labels, section);
                self.section_score.get_or_create(&labels).observe(score);
            }
        }
    }

    /// A rule of a plan was breached.
    pub fn count_breach(&self, plan: &Plan, rule: &Rule) {
        let labels = BreachLabels::of(plan, rule);
        if self.series().breaches.contains(&labels) {
            self.breaches.get_or_create(&labels).inc();
        }
    }

    /// A policy's sampling left a response out.
    pub fn count_unsampled(&self, plan: &Plan, policy: usize) {
        let labels = PolicyLabels { policy: plan.policies[policy].name.clone() };
        if self.series().policies.contains(&labels) {
            self.unsampled.get_or_create(&labels).inc();
        }
    }

    /// The factor on the policies' steering from now on.
    pub fn set_steering_scale(&self, scale: f64) {
        self.steering_scale.set(scale);
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        // The series are replaced as a whole.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
