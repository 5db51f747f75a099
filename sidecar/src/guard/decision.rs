//! One response's state machine.

use super::plan::{Plan, Rule};
use super::score::Tally;
use personaguard_crds::{Action, FailurePolicy, Score};
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

/// Why a response is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
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
    pub const ALL: [Self; 9] = [
        Self::VectorRefused,
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
/// Evidence is the running mean over the response tokens once [`super::PlannedPolicy::min_tokens`] of them are scored; a
/// shorter answer is decided by [`Decision::end`]. A `PromptLast` rule is decided by [`Decision::prompt`].
#[derive(Debug)]
pub struct Decision {
    plan: Arc<Plan>,
    tallies: Vec<Tally>,
    watches: Vec<Watch>,
    breaches: Vec<Breach>,
    fault: Option<Fault>,
    stop: Option<Stop>,
    prompted: bool,
    scored: usize,
    ended: bool,
    cleared: usize,
}

impl Decision {
    /// A response that is about to begin.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let fault = plan.policies.iter().any(|policy| !policy.refused.is_empty()).then_some(Fault::VectorRefused);
        let closed = plan.policies.iter().any(|p| p.failure_policy == FailurePolicy::Closed && !p.refused.is_empty());
        Self {
            tallies: vec![Tally::default(); plan.taps.len()],
            watches: vec![Watch::default(); plan.rules.len()],
            breaches: Vec::new(),
            fault,
            stop: closed.then_some(Stop::Unscorable),
            prompted: false,
            scored: 0,
            ended: false,
            cleared: 0,
            plan,
        }
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
        let scored = self.scored;
        self.judge(|rule, min_tokens| rule.score == Score::ResponseAvg && scored >= min_tokens);
        self.clear();
    }

    /// The rest of the response cannot be scored: each policy's failure policy says what becomes of it.
    pub fn fail(&mut self, fault: Fault) {
        for tap in 0..self.tallies.len() {
            self.lose(tap, fault);
        }
        self.clear();
    }

    /// All tokens of the response were scored.
    pub fn end(&mut self) {
        self.ended = true;
        self.judge(|rule, _| rule.score == Score::ResponseAvg);
        self.clear();
    }

    /// How many tokens may have left, of those that were sampled so far. Never falls; stands still after a stop.
    #[must_use]
    pub fn releasable(&self, sampled: usize) -> usize {
        if self.stop.is_some() || self.plan.holds() { self.cleared.min(sampled) } else { sampled }
    }

    /// Whether the response is cut, and why.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
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

    /// The score that a rule compares, as it stands; none where it is not known, or could not be scored.
    #[must_use]
    pub fn score(&self, rule: &Rule) -> Option<f64> {
        let tally = self.tallies.get(rule.tap)?;
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
                Some(&projection) => (!step(&mut self.tallies[tap], projection)).then_some(Fault::NotFinite),
            };
            if let Some(fault) = fault {
                self.lose(tap, fault);
            }
        }
    }

    fn lose(&mut self, tap: usize, fault: Fault) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate().filter(|(_, rule)| rule.tap == tap) {
            self.fault.get_or_insert(fault);
            if plan.policies[rule.policy].failure_policy == FailurePolicy::Closed {
                self.stop.get_or_insert(Stop::Unscorable);
            } else if self.watches[index] == Watch::Within {
                self.watches[index] = Watch::Lost;
            }
        }
    }

    fn judge(&mut self, due: impl Fn(&Rule, usize) -> bool) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            if self.watches[index] != Watch::Within || !due(rule, plan.policies[rule.policy].min_tokens) {
                continue;
            }
            let Some((score, threshold)) = self.score(rule).and_then(|s| Some((s, rule.bounds.passed(s)?))) else {
                continue;
            };
            self.watches[index] = Watch::Breached;
            self.breaches.push(Breach { rule: index, score, threshold });
            if rule.action == Action::Block {
                self.stop.get_or_insert(Stop::Blocked);
            }
        }
    }

    /// Raises `cleared` to what every holding rule lets go.
    fn clear(&mut self) {
        if self.stop.is_some() {
            return;
        }
        let cleared = self.plan.rules.iter().enumerate().map(|(index, rule)| self.cleared_by(index, rule)).min();
        self.cleared = self.cleared.max(cleared.unwrap_or(usize::MAX));
    }

    fn cleared_by(&self, index: usize, rule: &Rule) -> usize {
        let policy = &self.plan.policies[rule.policy];
        let closed = policy.failure_policy == FailurePolicy::Closed;
        if self.watches[index] == Watch::Lost || !(rule.action == Action::Block || closed) {
            return usize::MAX;
        }
        match rule.score {
            // Decided once and for all; a policy that fails closed still waits for each token's own score.
            Score::PromptLast if !self.prompted => 0,
            Score::PromptLast if !closed => usize::MAX,
            Score::PromptLast => self.scored,
            Score::ResponseAvg if rule.action != Action::Block => self.scored,
            Score::ResponseAvg if self.scored >= policy.min_tokens || self.ended => self.scored,
            Score::ResponseAvg => 0,
        }
    }
}
