//! Metrics of the sidecar; names and labels are those of [`personaguard_terms::metrics::sidecar`].
//!
//! Label values come from fixed lists and from the policies in force, so cardinality is bounded by
//! the config; series of a policy that is gone go with it.

use personaguard_guard::{Fault, Plan, Rule};
use personaguard_terms::Action;
use personaguard_terms::metrics::sidecar as names;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model ended it, or a stop string was found.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
    /// A policy stopped it.
    ContentFilter,
    /// It failed.
    Error,
    /// The client went away.
    Cancelled,
    /// It never began.
    Rejected,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Stop,
        Self::Length,
        Self::ContentFilter,
        Self::Error,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// Metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// What became of a push to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushResult {
    /// The operator took it.
    Accepted,
    /// The operator refused it.
    Rejected,
    /// The operator was not reached.
    Failed,
}

impl PushResult {
    const ALL: [Self; 3] = [Self::Accepted, Self::Rejected, Self::Failed];

    fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// What became of a change of the config folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It is in force.
    Applied,
    /// The config before it stays in force.
    Rejected,
}

impl ReloadResult {
    const ALL: [Self; 2] = [Self::Applied, Self::Rejected];

    fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Rejected => "rejected",
        }
    }
}

/// Whether a steered response was coherent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steered {
    /// It was.
    Kept,
    /// It was not.
    Lost,
    /// It was too short to say, or there was no room to find out.
    Unknown,
}

impl Steered {
    fn label(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CoherenceLabels {
    coherence: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    log: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct TraitLabels {
    policy: String,
    r#trait: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BoundLabels {
    policy: String,
    r#trait: String,
    bound: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BreachLabels {
    policy: String,
    r#trait: String,
    action: &'static str,
}

type FloatGauge = Gauge<f64, AtomicU64>;

/// Every metric of the sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    responses: Family<OutcomeLabels, Counter>,
    time_to_first_token: Histogram,
    response_duration: Histogram,
    tokens: Family<KindLabels, Counter>,
    trait_score: Family<TraitLabels, Histogram, fn() -> Histogram>,
    trait_threshold: Family<BoundLabels, FloatGauge>,
    trait_breaches: Family<BreachLabels, Counter>,
    unguarded: Family<ReasonLabels, Counter>,
    unsampled: Family<PolicyLabels, Counter>,
    request_controls: Family<ResultLabels, Counter>,
    regenerations: Family<ResultLabels, Counter>,
    steered: Family<CoherenceLabels, Counter>,
    steering_scale: Gauge<f64, AtomicU64>,
    log_records: Family<LogLabels, Counter>,
    policy_generation: Family<PolicyLabels, Gauge>,
    model_ready: Gauge,
    requests_running: Gauge,
    requests_waiting: Gauge,
    reports: Family<ResultLabels, Counter>,
    config_reloads: Family<ResultLabels, Counter>,
    series: Mutex<PolicySeries>,
}

/// Series that exist because of the policies in force.
#[derive(Debug, Default)]
struct PolicySeries {
    policies: BTreeSet<String>,
    traits: BTreeSet<TraitLabels>,
    bounds: BTreeSet<BoundLabels>,
    breaches: BTreeSet<BreachLabels>,
}

/// Buckets that fit projections of small and large models alike: they grow by half on either side
/// of 0.
fn score_histogram() -> Histogram {
    const STEPS: [f64; 12] = [0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0, 50.0, 100.0, 200.0];
    Histogram::new(STEPS.iter().rev().map(|s| -s).chain([0.0]).chain(STEPS))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            responses: Family::default(),
            time_to_first_token: Histogram::new([
                0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0, 60.0,
            ]),
            response_duration: Histogram::new([
                0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0,
            ]),
            tokens: Family::default(),
            trait_score: Family::new_with_constructor(score_histogram),
            trait_threshold: Family::default(),
            trait_breaches: Family::default(),
            unguarded: Family::default(),
            unsampled: Family::default(),
            request_controls: Family::default(),
            regenerations: Family::default(),
            steered: Family::default(),
            steering_scale: Gauge::default(),
            log_records: Family::default(),
            policy_generation: Family::default(),
            model_ready: Gauge::default(),
            requests_running: Gauge::default(),
            requests_waiting: Gauge::default(),
            reports: Family::default(),
            config_reloads: Family::default(),
            series: Mutex::default(),
        };
        metrics.register();
        metrics.start_at_zero();
        metrics
    }

    fn register(&mut self) {
        let counter = |name: &'static str| name.strip_suffix("_total").unwrap_or(name);
        let r = &mut self.registry;
        r.register(
            counter(names::RESPONSES),
            "Responses that ended, by how",
            self.responses.clone(),
        );
        r.register(
            names::TIME_TO_FIRST_TOKEN,
            "Seconds from request to the first token that left",
            self.time_to_first_token.clone(),
        );
        r.register(
            names::RESPONSE_DURATION,
            "Seconds from request to end",
            self.response_duration.clone(),
        );
        r.register(
            counter(names::TOKENS),
            "Tokens of prompts and completions",
            self.tokens.clone(),
        );
        r.register(
            names::TRAIT_SCORE,
            "Scores of responses, in units of the model's activations",
            self.trait_score.clone(),
        );
        r.register(
            names::TRAIT_THRESHOLD,
            "Thresholds in force, in units of the model's activations",
            self.trait_threshold.clone(),
        );
        r.register(
            counter(names::TRAIT_BREACHES),
            "Responses past a threshold",
            self.trait_breaches.clone(),
        );
        r.register(
            counter(names::UNGUARDED),
            "Responses that left unscored, by reason",
            self.unguarded.clone(),
        );
        r.register(
            counter(names::UNSAMPLED),
            "Responses that a policy's sampling left out",
            self.unsampled.clone(),
        );
        r.register(
            counter(names::REQUEST_CONTROLS),
            "Requests that asked for more than the policies do, by result",
            self.request_controls.clone(),
        );
        r.register(
            counter(names::REGENERATIONS),
            "Responses that were written anew, by where the one that left stands",
            self.regenerations.clone(),
        );
        r.register(
            counter(names::STEERED),
            "Steered responses, by their coherence",
            self.steered.clone(),
        );
        r.register(
            names::STEERING_SCALE,
            "How far the policies' steering goes: 1 as they say, 0 not at all",
            self.steering_scale.clone(),
        );
        r.register(
            counter(names::LOG_RECORDS),
            "Records of the logs on disk, by result",
            self.log_records.clone(),
        );
        r.register(
            names::POLICY_GENERATION,
            "Generation of a policy in force",
            self.policy_generation.clone(),
        );
        r.register(names::MODEL_READY, "1 while the model serves", self.model_ready.clone());
        r.register(names::REQUESTS_RUNNING, "Requests that run", self.requests_running.clone());
        r.register(
            names::REQUESTS_WAITING,
            "Requests that wait for a place",
            self.requests_waiting.clone(),
        );
        r.register(
            counter(names::REPORTS),
            "Pushes to the operator, by result",
            self.reports.clone(),
        );
        r.register(
            counter(names::CONFIG_RELOADS),
            "Changes of the config folder, by result",
            self.config_reloads.clone(),
        );
    }

    fn start_at_zero(&self) {
        for outcome in Outcome::ALL {
            drop(self.responses.get_or_create(&OutcomeLabels { outcome: outcome.label() }));
        }
        for kind in ["prompt", "completion"] {
            drop(self.tokens.get_or_create(&KindLabels { kind }));
        }
        for fault in Fault::ALL {
            drop(self.unguarded.get_or_create(&ReasonLabels { reason: fault.label() }));
        }
        for result in PushResult::ALL {
            drop(self.reports.get_or_create(&ResultLabels { result: result.label() }));
        }
        for result in ["applied", "refused"] {
            drop(self.request_controls.get_or_create(&ResultLabels { result }));
        }
        for result in ["within", "past"] {
            drop(self.regenerations.get_or_create(&ResultLabels { result }));
        }
        for steered in [Steered::Kept, Steered::Lost, Steered::Unknown] {
            drop(self.steered.get_or_create(&CoherenceLabels { coherence: steered.label() }));
        }
        self.steering_scale.set(1.0);
        for result in ReloadResult::ALL {
            drop(self.config_reloads.get_or_create(&ResultLabels { result: result.label() }));
        }
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A response ended.
    pub fn response(&self, outcome: Outcome, duration: Duration) {
        self.responses.get_or_create(&OutcomeLabels { outcome: outcome.label() }).inc();
        if outcome != Outcome::Rejected {
            self.response_duration.observe(duration.as_secs_f64());
        }
    }

    /// The first token of a response left.
    pub fn first_token(&self, after: Duration) {
        self.time_to_first_token.observe(after.as_secs_f64());
    }

    /// Tokens of a response that ended.
    pub fn tokens(&self, prompt: u64, completion: u64) {
        self.tokens.get_or_create(&KindLabels { kind: "prompt" }).inc_by(prompt);
        self.tokens.get_or_create(&KindLabels { kind: "completion" }).inc_by(completion);
    }

    /// A response left unscored.
    pub fn unguarded(&self, fault: Fault) {
        self.unguarded.get_or_create(&ReasonLabels { reason: fault.label() }).inc();
    }

    /// A policy's sampling left a response out.
    pub fn unsampled(&self, plan: &Plan, policy: usize) {
        let labels = PolicyLabels { policy: plan.policies[policy].name.clone() };
        if self.series().policies.contains(&labels.policy) {
            self.unsampled.get_or_create(&labels).inc();
        }
    }

    /// A request asked for more than the policies do, and was allowed to, or not.
    pub fn request_control(&self, allowed: bool) {
        let result = if allowed { "applied" } else { "refused" };
        self.request_controls.get_or_create(&ResultLabels { result }).inc();
    }

    /// A response was written anew, and the one that leaves is within its thresholds, or not.
    pub fn regenerated(&self, within: bool) {
        let result = if within { "within" } else { "past" };
        self.regenerations.get_or_create(&ResultLabels { result }).inc();
    }

    /// A steered response ended.
    pub fn steered(&self, steered: Steered) {
        self.steered.get_or_create(&CoherenceLabels { coherence: steered.label() }).inc();
    }

    /// How far the policies' steering goes from now on.
    pub fn steering_scale(&self, scale: f64) {
        self.steering_scale.set(scale);
    }

    /// Records of a log so far.
    pub fn log(&self, log: &'static str, written: u64, lost: u64) {
        // Two readers at once must not both add what is missing.
        let _one_at_a_time = self.series();
        for (result, total) in [("written", written), ("lost", lost)] {
            let counter = self.log_records.get_or_create(&LogLabels { log, result });
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }

    /// A response was scored by a rule of a plan.
    pub fn score(&self, plan: &Plan, rule: &Rule, score: f64) {
        let labels = trait_labels(plan, rule);
        // Only series of the policies in force: a long answer may outlive its policy.
        if self.series().traits.contains(&labels) {
            self.trait_score.get_or_create(&labels).observe(score);
        }
    }

    /// A rule of a plan was breached.
    pub fn breach(&self, plan: &Plan, rule: &Rule) {
        let labels = breach_labels(plan, rule);
        if self.series().breaches.contains(&labels) {
            self.trait_breaches.get_or_create(&labels).inc();
        }
    }

    /// A push to the operator ended.
    pub fn push(&self, result: PushResult) {
        self.reports.get_or_create(&ResultLabels { result: result.label() }).inc();
    }

    /// A change of the config folder was applied or rejected.
    pub fn reload(&self, result: ReloadResult) {
        self.config_reloads.get_or_create(&ResultLabels { result: result.label() }).inc();
    }

    /// Whether the model serves.
    pub fn model_ready(&self, ready: bool) {
        self.model_ready.set(i64::from(ready));
    }

    /// Requests that run and that wait.
    pub fn load(&self, running: usize, waiting: usize) {
        self.requests_running.set(i64::try_from(running).unwrap_or(i64::MAX));
        self.requests_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A plan came into force: its series start at zero, those of policies that are gone end.
    pub fn apply(&self, plan: &Plan) {
        self.steering_scale.set(1.0);
        let mut next = PolicySeries::default();
        for policy in plan.policies.iter().filter(|policy| policy.unresolved.is_none()) {
            self.policy_generation
                .get_or_create(&PolicyLabels { policy: policy.name.clone() })
                .set(policy.generation);
            if policy.sampling.is_some() {
                drop(self.unsampled.get_or_create(&PolicyLabels { policy: policy.name.clone() }));
            }
            next.policies.insert(policy.name.clone());
        }
        for rule in &plan.rules {
            let labels = trait_labels(plan, rule);
            drop(self.trait_score.get_or_create(&labels));
            next.traits.insert(labels.clone());
            let breach = breach_labels(plan, rule);
            drop(self.trait_breaches.get_or_create(&breach));
            next.breaches.insert(breach);
            for (bound, value) in [("min", rule.bounds.min), ("max", rule.bounds.max)] {
                let Some(value) = value else { continue };
                let labels = BoundLabels {
                    policy: labels.policy.clone(),
                    r#trait: labels.r#trait.clone(),
                    bound,
                };
                self.trait_threshold.get_or_create(&labels).set(value);
                next.bounds.insert(labels);
            }
        }
        let mut series = self.series();
        for gone in series.policies.difference(&next.policies) {
            self.policy_generation.remove(&PolicyLabels { policy: gone.clone() });
            self.unsampled.remove(&PolicyLabels { policy: gone.clone() });
        }
        for gone in series.traits.difference(&next.traits) {
            self.trait_score.remove(gone);
        }
        for gone in series.bounds.difference(&next.bounds) {
            self.trait_threshold.remove(gone);
        }
        for gone in series.breaches.difference(&next.breaches) {
            self.trait_breaches.remove(gone);
        }
        *series = next;
    }

    fn series(&self) -> std::sync::MutexGuard<'_, PolicySeries> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trait_labels(plan: &Plan, rule: &Rule) -> TraitLabels {
    TraitLabels {
        policy: plan.policies[rule.policy].name.clone(),
        r#trait: plan.taps[rule.tap].trait_name.clone(),
    }
}

fn breach_labels(plan: &Plan, rule: &Rule) -> BreachLabels {
    let TraitLabels { policy, r#trait } = trait_labels(plan, rule);
    BreachLabels { policy, r#trait, action: action_label(rule.declared) }
}

/// The action as a metric label.
#[must_use]
pub fn action_label(action: Action) -> &'static str {
    match action {
        Action::Audit => "Audit",
        Action::Alert => "Alert",
        Action::Steer => "Steer",
        Action::Cap => "Cap",
        Action::Regenerate => "Regenerate",
        Action::Redact => "Redact",
        Action::Block => "Block",
    }
}
