//! One response's state machine.

use super::plan::{Plan, Rule};
use super::score::Tally;
use personaguard_terms::{Action, FailurePolicy, Score};
use std::sync::Arc;

/// A rule whose score passed its threshold. It happens at most once for each rule and response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// Index in [`Plan::rules`].
    pub rule: usize,
    /// Score at that moment.
    pub score: f64,
    /// Threshold that it passed.
    pub threshold: f64,
}

/// Why a response is cut. Where several reasons come together, the most intrusive one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// A trait with action `Redact` is past its threshold: see [`Decision::redaction`].
    Redacted,
    /// A trait with action `Block` is past its threshold.
    Blocked,
    /// A trait cannot be scored, and its policy fails closed.
    Unscorable,
}

/// Why a response, or a part of it, was not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A vector of the policy is refused, for example because it was made for another model.
    VectorRefused,
    /// A policy that selects this pod could never be resolved, for example because a vector of it
    /// does not exist.
    PolicyUnresolved,
    /// A projection is not a finite number.
    NotFinite,
    /// The decoder did not say what it was asked to measure.
    Missing,
    /// No model is loaded that could score.
    NotReady,
    /// Too many wait to be scored.
    QueueFull,
    /// Scoring took longer than it may.
    Deadline,
    /// Prompt and response do not fit the model's context.
    TooLong,
    /// The engine failed, or was stopped.
    Engine,
    /// It holds something that cannot be read as text: an image, another format.
    NotUnderstood,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::VectorRefused,
        Self::PolicyUnresolved,
        Self::NotFinite,
        Self::Missing,
        Self::NotReady,
        Self::QueueFull,
        Self::Deadline,
        Self::TooLong,
        Self::Engine,
        Self::NotUnderstood,
    ];

    /// Metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::VectorRefused => "vector_refused",
            Self::PolicyUnresolved => "policy_unresolved",
            Self::NotFinite => "not_finite",
            Self::Missing => "missing_projection",
            Self::NotReady => "model_not_ready",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::TooLong => "too_long",
            Self::Engine => "engine_failed",
            Self::NotUnderstood => "not_understood",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Watch {
    #[default]
    Within,
    Breached,
    /// Could not be scored, and the policy lets that pass.
    Lost,
}

/// Decides, from projections alone, how much of a response may leave.
///
/// Evidence is the running mean over the response tokens once [`super::PlannedPolicy::min_tokens`]
/// of them are scored (a shorter answer is decided by [`Decision::end`]), or `past` of the last
/// `of_last` tokens where the policy has a window. A `PromptLast` rule is decided by
/// [`Decision::prompt`].
#[derive(Debug)]
pub struct Decision {
    plan: Arc<Plan>,
    /// For each policy, whether it looks at this response.
    sampled: Arc<[bool]>,
    /// What the response's system prompt is known by.
    system_prompt: Option<Arc<str>>,
    tallies: Vec<Tally>,
    watches: Vec<Watch>,
    /// For each rule, the last 64 tokens, the newest in the lowest bit: whether each was past the
    /// threshold.
    recent: Vec<u64>,
    breaches: Vec<Breach>,
    fault: Option<Fault>,
    stop: Option<Stop>,
    redaction: Option<Arc<str>>,
    prompted: bool,
    scored: usize,
    ended: bool,
    cleared: usize,
}

impl Decision {
    /// A response that is about to begin, and that every policy looks at.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let all = vec![true; plan.policies.len()];
        Self::sampled(plan, all.into())
    }

    /// A response that only some policies look at, by their order in the plan.
    #[must_use]
    pub fn sampled(plan: Arc<Plan>, sampled: Arc<[bool]>) -> Self {
        let lost = |policy: &&super::PlannedPolicy| policy.unenforced().is_some();
        let fault = plan.policies.iter().find_map(super::PlannedPolicy::unenforced);
        let closed = plan
            .policies
            .iter()
            .filter(lost)
            .any(|policy| policy.failure_policy == FailurePolicy::Closed);
        Self {
            system_prompt: None,
            tallies: vec![Tally::default(); plan.taps.len()],
            watches: vec![Watch::default(); plan.rules.len()],
            recent: vec![0; plan.rules.len()],
            breaches: Vec::new(),
            fault,
            stop: closed.then_some(Stop::Unscorable),
            redaction: None,
            prompted: false,
            scored: 0,
            ended: false,
            cleared: 0,
            sampled,
            plan,
        }
    }

    /// The same response from its beginning, for another attempt at it under this plan.
    #[must_use]
    pub fn again(&self, plan: Plan) -> Self {
        self.anew(Arc::new(plan))
    }

    /// The same from its beginning, for another choice of one answer.
    #[must_use]
    pub fn fresh(&self) -> Self {
        self.anew(Arc::clone(&self.plan))
    }

    fn anew(&self, plan: Arc<Plan>) -> Self {
        Self {
            system_prompt: self.system_prompt.clone(),
            ..Self::sampled(plan, Arc::clone(&self.sampled))
        }
    }

    /// The same response, under a system prompt that is known by this hash.
    #[must_use]
    pub fn under(self, system_prompt: Arc<str>) -> Self {
        Self { system_prompt: Some(system_prompt), ..self }
    }

    /// What the response's system prompt is known by.
    #[must_use]
    pub fn system_prompt(&self) -> Option<&str> {
        self.system_prompt.as_deref()
    }

    /// Takes the projections at the last prompt token, one for each of [`Plan::taps`].
    pub fn prompt(&mut self, projections: &[f32]) {
        self.prompted = true;
        self.take(projections, Tally::prompt);
        self.judge(|rule, _| rule.score == Score::PromptLast);
        self.clear();
    }

    /// Takes the projections at the next response token, one for each of [`Plan::taps`].
    pub fn token(&mut self, projections: &[f32]) {
        self.scored += 1;
        self.take(projections, Tally::token);
        self.judge_windows(projections);
        let scored = self.scored;
        self.judge(|rule, policy| {
            // What leaves as a whole is judged as a whole.
            let due = scored >= policy.min_tokens && rule.action != Action::Regenerate;
            due && rule.score == Score::ResponseAvg && policy.window.is_none()
        });
        self.clear();
    }

    /// All tokens of the response were scored.
    pub fn end(&mut self) {
        self.ended = true;
        self.judge(|rule, policy| rule.score == Score::ResponseAvg && policy.window.is_none());
        self.clear();
    }

    /// The rest of the response cannot be scored: each policy's failure policy says what becomes of
    /// it.
    pub fn fail(&mut self, fault: Fault) {
        for tap in 0..self.tallies.len() {
            self.lose(tap, fault);
        }
        self.clear();
    }

    /// How many tokens may have left, of those that were sampled so far. Never falls; stands still
    /// after a stop.
    #[must_use]
    pub fn releasable(&self, sampled: usize) -> usize {
        if self.stop.is_some() || self.plan.holds() { self.cleared.min(sampled) } else { sampled }
    }

    /// Whether the response is cut, and why.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The text that takes the place of what does not leave, after [`Stop::Redacted`].
    #[must_use]
    pub fn redaction(&self) -> Option<&Arc<str>> {
        self.redaction.as_ref().filter(|_| self.stop == Some(Stop::Redacted))
    }

    /// Whether a policy looks at this response.
    #[must_use]
    pub fn looks(&self, policy: usize) -> bool {
        self.sampled.get(policy).copied().unwrap_or_default()
    }

    /// How far the breached rules with action `Regenerate` are past their thresholds, taken
    /// together; none where none is breached.
    #[must_use]
    pub fn excess(&self) -> Option<f64> {
        let breached =
            |(index, rule): &(usize, &Rule)| rule.regenerate.is_some() && self.breached(*index);
        let rules = self.plan.rules.iter().enumerate().filter(breached);
        // By single tokens a response may be past its threshold while its mean is within.
        rules
            .map(|(_, rule)| self.score(rule).map_or(0.0, |score| rule.bounds.beyond(score)))
            .reduce(|a, b| a + b)
    }

    /// Why the response counts as unguarded, where it does.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Breaches since the last call.
    pub fn take_breaches(&mut self) -> Vec<Breach> {
        std::mem::take(&mut self.breaches)
    }

    /// Whether a rule's score passed its threshold.
    #[must_use]
    pub fn breached(&self, rule: usize) -> bool {
        self.watches.get(rule) == Some(&Watch::Breached)
    }

    /// The score that a rule compares, as it stands; none where it is not known, or could not be
    /// scored.
    #[must_use]
    pub fn score(&self, rule: &Rule) -> Option<f64> {
        let tally = self.tallies.get(rule.tap).filter(|_| self.looks(rule.policy))?;
        match rule.score {
            Score::PromptLast => tally.prompt_last(),
            Score::ResponseAvg => tally.response_avg(),
        }
    }

    /// Scores along a tap, by index in [`Plan::taps`].
    #[must_use]
    pub fn tally(&self, tap: usize) -> Option<&Tally> {
        self.tallies.get(tap)
    }

    /// The plan that this response keeps to.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn take(&mut self, projections: &[f32], step: fn(&mut Tally, f32) -> bool) {
        for tap in 0..self.tallies.len() {
            let fault = match projections.get(tap) {
                None => Some(Fault::Missing),
                Some(&projection) => {
                    (!step(&mut self.tallies[tap], projection)).then_some(Fault::NotFinite)
                }
            };
            if let Some(fault) = fault {
                self.lose(tap, fault);
            }
        }
    }

    fn lose(&mut self, tap: usize, fault: Fault) {
        let plan = Arc::clone(&self.plan);
        let concerned = |(_, rule): &(usize, &Rule)| rule.tap == tap && self.sampled[rule.policy];
        for (index, rule) in plan.rules.iter().enumerate().filter(concerned) {
            self.fault.get_or_insert(fault);
            if plan.policies[rule.policy].failure_policy == FailurePolicy::Closed {
                self.stop.get_or_insert(Stop::Unscorable);
            } else if self.watches[index] == Watch::Within {
                self.watches[index] = Watch::Lost;
            }
        }
    }

    fn judge(&mut self, due: impl Fn(&Rule, &super::PlannedPolicy) -> bool) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            if due(rule, &plan.policies[rule.policy])
                && let Some(score) = self.score(rule)
                && let Some(threshold) = rule.bounds.passed(score)
            {
                self.breach(index, score, threshold);
            }
        }
    }

    /// Judges the newest token by itself, where evidence is so many of the last tokens.
    fn judge_windows(&mut self, projections: &[f32]) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let Some(window) =
                plan.policies[rule.policy].window.filter(|_| rule.score == Score::ResponseAvg)
            else {
                continue;
            };
            let projection = projections.get(rule.tap).copied().map_or(f64::NAN, f64::from);
            let passed = rule.bounds.passed(projection);
            self.recent[index] = self.recent[index] << 1 | u64::from(passed.is_some());
            let past = (self.recent[index] & lowest(window.of_last)).count_ones();
            if let Some(threshold) =
                passed.filter(|_| past >= window.past && self.looks(rule.policy))
            {
                self.breach(index, projection, threshold);
            }
        }
    }

    fn breach(&mut self, index: usize, score: f64, threshold: f64) {
        if self.watches[index] != Watch::Within {
            return;
        }
        self.watches[index] = Watch::Breached;
        self.breaches.push(Breach { rule: index, score, threshold });
        let rule = &self.plan.rules[index];
        let stop = match rule.action {
            Action::Block => Stop::Blocked,
            Action::Redact => Stop::Redacted,
            _ => return,
        };
        if stop == Stop::Redacted && self.redaction.is_none() {
            self.redaction = rule.redaction.clone();
        }
        self.stop = self.stop.max(Some(stop));
    }

    /// Raises `cleared` to what every holding rule lets go.
    fn clear(&mut self) {
        if self.stop.is_some() {
            return;
        }
        let cleared = self
            .plan
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| self.cleared_by(index, rule))
            .min();
        self.cleared = self.cleared.max(cleared.unwrap_or(usize::MAX));
    }

    fn cleared_by(&self, index: usize, rule: &Rule) -> usize {
        let policy = &self.plan.policies[rule.policy];
        let closed = policy.failure_policy == FailurePolicy::Closed;
        if self.watches[index] == Watch::Lost || !(rule.action.holds() || closed) {
            return usize::MAX;
        }
        match (rule.score, policy.window) {
            // Decided once and for all; a policy that fails closed still waits for each token's own
            // score.
            (Score::PromptLast, _) if !self.prompted => 0,
            (Score::PromptLast, _) if !closed => usize::MAX,
            (Score::PromptLast, _) => self.scored,
            (Score::ResponseAvg, _) if !rule.action.holds() || self.ended => self.scored,
            (Score::ResponseAvg, _) if rule.action == Action::Regenerate => 0,
            // A token past the threshold waits until no window that it is in can become a breach.
            (Score::ResponseAvg, Some(window)) => {
                let waiting = self.recent[index] & lowest(window.of_last - 1);
                self.scored - (u64::BITS - waiting.leading_zeros()) as usize
            }
            (Score::ResponseAvg, None) if self.scored >= policy.min_tokens => self.scored,
            (Score::ResponseAvg, None) => 0,
        }
    }
}

/// The lowest `bits` bits.
fn lowest(bits: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - bits.min(u64::BITS)).unwrap_or(0)
}
