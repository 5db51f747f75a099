//! The state machine of one response.

mod rule_state;
mod stop;

pub use stop::{Breach, Stop};

use crate::plan::{Plan, PlannedPolicy, Rule};
use crate::running_score::RunningScore;
use crate::section::{Section, Sections};
use crate::unscored::UnscoredReason;
use personaguard_terms::{Action, FailurePolicy, Release, Score};
use rule_state::RuleState;
use std::sync::Arc;

/// Decides, from projections alone, how much of a response may leave.
///
/// Evidence is the running mean over the response tokens, from the policy's
/// [`min_tokens`](PlannedPolicy::min_tokens) on (a shorter response is decided by
/// [`Decision::finish`]); or, if the policy has a window, `past` of the last `of_last` tokens. A
/// `PromptLast` rule is decided by [`Decision::add_prompt`].
///
/// Of an `AnswerAvg` or `ReasoningAvg` rule, all of that is about the tokens of that section: the
/// others neither count nor wait for it. Reasoning that is shorter than `min_tokens` is decided
/// when the answer begins.
#[derive(Debug)]
pub struct Decision {
    plan: Arc<Plan>,
    /// For each policy, whether it looks at this response.
    sampled: Arc<[bool]>,
    system_prompt: Option<Arc<str>>,
    /// For each measured vector.
    scores: Vec<RunningScore>,
    /// For each rule.
    rules: Vec<RuleState>,
    new_breaches: Vec<Breach>,
    unscored: Option<UnscoredReason>,
    stop: Option<Stop>,
    redaction: Option<Arc<str>>,
    prompt_scored: bool,
    /// Of the tokens that were scored.
    sections: Sections,
    finished: bool,
    /// Tokens that every rule which holds back has let go.
    cleared: usize,
}

impl Decision {
    /// A response that is about to begin, and that every policy looks at.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let all = vec![true; plan.policies.len()];
        Self::sampled(plan, all.into())
    }

    /// A response that some of the plan's policies look at.
    #[must_use]
    pub fn sampled(plan: Arc<Plan>, sampled: Arc<[bool]>) -> Self {
        let unscored = plan.policies.iter().find_map(PlannedPolicy::unenforced);
        let closed = plan.policies.iter().any(|policy| {
            policy.unenforced().is_some() && policy.failure_policy == FailurePolicy::Closed
        });
        Self {
            system_prompt: None,
            scores: vec![RunningScore::default(); plan.vectors.len()],
            rules: vec![RuleState::default(); plan.rules.len()],
            new_breaches: Vec::new(),
            unscored,
            stop: closed.then_some(Stop::Unscorable),
            redaction: None,
            prompt_scored: false,
            sections: Sections::default(),
            finished: false,
            cleared: 0,
            sampled,
            plan,
        }
    }

    /// The same response from its beginning, to be written again under another plan.
    #[must_use]
    pub fn restart_under(&self, plan: Plan) -> Self {
        self.restart(Arc::new(plan))
    }

    /// The same from its beginning, for another choice of one request.
    #[must_use]
    pub fn fresh(&self) -> Self {
        self.restart(Arc::clone(&self.plan))
    }

    fn restart(&self, plan: Arc<Plan>) -> Self {
        let sampled = Arc::clone(&self.sampled);
        Self { system_prompt: self.system_prompt.clone(), ..Self::sampled(plan, sampled) }
    }

    /// The same response, with the hash of its system prompt.
    #[must_use]
    pub fn with_system_prompt(self, hash: Arc<str>) -> Self {
        Self { system_prompt: Some(hash), ..self }
    }

    /// The hash of the system prompt.
    #[must_use]
    pub fn system_prompt(&self) -> Option<&str> {
        self.system_prompt.as_deref()
    }

    /// Takes the projections at the last prompt token, one for each of [`Plan::vectors`].
    pub fn add_prompt(&mut self, projections: &[f32]) {
        self.prompt_scored = true;
        self.add(projections, RunningScore::add_prompt);
        self.judge(|rule, _| rule.score == Score::PromptLast);
        self.clear();
    }

    /// Takes the projections at the next response token, one for each of [`Plan::vectors`].
    pub fn add_token(&mut self, projections: &[f32], section: Section) {
        let (section, revealed) = self.sections.push(section);
        if let Some(section) = revealed {
            self.reveal(section);
        }
        self.add(projections, |score, projection| score.add_token(projection, section));
        self.judge_windows(projections, section);
        let sections = self.sections;
        self.judge(|rule, policy| {
            // A response that may be written again is judged as a whole.
            let whole = rule.action.kind().release() == Release::AtEnd;
            let is_enough = is_decided(sections, rule, policy) && !whole;
            is_enough && rule.score.is_of_response() && policy.window.is_none()
        });
        self.clear();
    }

    /// What came so far was reasoning: the tokens of unknown section no longer count as the answer.
    pub fn set_reasoning(&mut self) {
        if self.sections.set_reasoning() {
            self.reveal(Section::Reasoning);
        }
    }

    /// Tokens of reasoning, as far as that is known.
    #[must_use]
    pub fn reasoning_tokens(&self) -> usize {
        self.sections.reasoning()
    }

    /// The tokens of unknown section were of this one.
    fn reveal(&mut self, section: Section) {
        self.scores.iter_mut().for_each(|score| score.reveal(section));
        let other = match section {
            Section::Unknown => return,
            Section::Reasoning => Score::AnswerAvg,
            Section::Answer => Score::ReasoningAvg,
        };
        let rules = self.plan.rules.iter().zip(&mut self.rules);
        rules.filter(|(rule, _)| rule.score == other).for_each(|(_, state)| state.forget_tokens());
    }

    /// All tokens of the response were scored.
    pub fn finish(&mut self) {
        self.finished = true;
        self.judge(|rule, policy| rule.score.is_of_response() && policy.window.is_none());
        self.clear();
    }

    /// The rest of the response cannot be scored: each policy says what happens to it.
    pub fn fail(&mut self, reason: UnscoredReason) {
        (0..self.scores.len()).for_each(|vector| self.lose(vector, reason));
        self.clear();
    }

    /// How many tokens may have left, of those that were sampled so far. Never falls, and stands
    /// still after a stop.
    #[must_use]
    pub fn releasable(&self, sampled: usize) -> usize {
        if self.stop.is_some() || self.plan.holds_back() {
            self.cleared.min(sampled)
        } else {
            sampled
        }
    }

    /// Whether the response is cut, and why.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The text that replaces what does not leave, after [`Stop::Redacted`].
    #[must_use]
    pub fn redaction(&self) -> Option<&Arc<str>> {
        self.redaction.as_ref().filter(|_| self.stop == Some(Stop::Redacted))
    }

    /// Whether a policy looks at this response.
    #[must_use]
    pub fn is_sampled(&self, policy: usize) -> bool {
        self.sampled.get(policy).copied().unwrap_or_default()
    }

    /// How far the breached rules with action `Regenerate` are past their thresholds, in total;
    /// `None` if none is breached.
    #[must_use]
    pub fn excess(&self) -> Option<f64> {
        let breached = |(index, rule): &(usize, &Rule)| {
            matches!(rule.action, Action::Regenerate(_)) && self.is_breached(*index)
        };
        let rules = self.plan.rules.iter().enumerate().filter(breached);
        // By single tokens a response may be past its threshold while its mean is within.
        rules
            .map(|(_, rule)| self.score(rule).map_or(0.0, |score| rule.bounds.excess(score)))
            .reduce(|a, b| a + b)
    }

    /// Why the response counts as unguarded, if it does.
    #[must_use]
    pub fn unscored(&self) -> Option<UnscoredReason> {
        self.unscored
    }

    /// Breaches since the last call.
    pub fn take_breaches(&mut self) -> Vec<Breach> {
        std::mem::take(&mut self.new_breaches)
    }

    /// Whether a rule's score passed its threshold.
    #[must_use]
    pub fn is_breached(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(RuleState::is_breached)
    }

    /// The score that a rule compares, as it stands; `None` if it is not known or could not be
    /// scored.
    #[must_use]
    pub fn score(&self, rule: &Rule) -> Option<f64> {
        let score = self.scores.get(rule.vector).filter(|_| self.is_sampled(rule.policy))?;
        match rule.score {
            Score::PromptLast => score.prompt_last(),
            Score::ResponseAvg => score.response_avg(),
            Score::AnswerAvg => score.answer_avg(),
            Score::ReasoningAvg => score.reasoning_avg(),
        }
    }

    /// Scores along a vector, by its index in [`Plan::vectors`].
    #[must_use]
    pub fn running_score(&self, vector: usize) -> Option<&RunningScore> {
        self.scores.get(vector)
    }

    /// The plan that this response keeps to.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn add(&mut self, projections: &[f32], add: impl Fn(&mut RunningScore, f32) -> bool) {
        for vector in 0..self.scores.len() {
            let reason = match projections.get(vector) {
                None => UnscoredReason::MissingProjection,
                Some(projection) if add(&mut self.scores[vector], *projection) => continue,
                Some(_) => UnscoredReason::NotFinite,
            };
            self.lose(vector, reason);
        }
    }

    /// Gives up on the rules of a vector.
    fn lose(&mut self, vector: usize, reason: UnscoredReason) {
        let plan = Arc::clone(&self.plan);
        let concerned =
            |(_, rule): &(usize, &Rule)| rule.vector == vector && self.sampled[rule.policy];
        for (index, rule) in plan.rules.iter().enumerate().filter(concerned) {
            self.unscored.get_or_insert(reason);
            if plan.policies[rule.policy].refuses(reason) {
                self.stop.get_or_insert(Stop::Unscorable);
            } else {
                self.rules[index].lose();
            }
        }
    }

    /// Judges the rules that are due by their scores.
    fn judge(&mut self, is_due: impl Fn(&Rule, &PlannedPolicy) -> bool) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            if is_due(rule, &plan.policies[rule.policy])
                && let Some(score) = self.score(rule)
                && let Some(threshold) = rule.bounds.passed(score)
            {
                self.breach(index, score, threshold);
            }
        }
    }

    /// Judges rules by single tokens, where the policy has a window.
    fn judge_windows(&mut self, projections: &[f32], section: Section) {
        let plan = Arc::clone(&self.plan);
        for (index, rule) in plan.rules.iter().enumerate() {
            let window = plan.policies[rule.policy].window;
            let Some(window) = window.filter(|_| counts(section, rule.score)) else {
                continue;
            };
            let projection = projections.get(rule.vector).copied().map_or(f64::NAN, f64::from);
            let passed = rule.bounds.passed(projection);
            self.rules[index].push_token(passed.is_some());
            if let Some(threshold) = passed
                && self.rules[index].past_of_last(window.of_last) >= window.past
                && self.is_sampled(rule.policy)
            {
                self.breach(index, projection, threshold);
            }
        }
    }

    fn breach(&mut self, index: usize, score: f64, threshold: f64) {
        if !self.rules[index].breach() {
            return;
        }
        self.new_breaches.push(Breach { rule: index, score, threshold });
        let stop = match &self.plan.rules[index].action {
            Action::Block => Stop::Blocked,
            Action::Redact(redaction) => {
                self.redaction.get_or_insert_with(|| redaction.text.as_str().into());
                Stop::Redacted
            }
            // Steering and caps have acted already, and an answer is written again after its end.
            Action::Audit
            | Action::Alert
            | Action::Steer(_)
            | Action::Cap(_)
            | Action::Regenerate(_) => return,
        };
        self.stop = self.stop.max(Some(stop));
    }

    /// Raises `cleared` to what every rule that holds back lets go.
    fn clear(&mut self) {
        if self.stop.is_some() {
            return;
        }
        let rules = self.plan.rules.iter().enumerate();
        let cleared = rules.map(|(index, rule)| self.cleared_by(index, rule)).min();
        self.cleared = self.cleared.max(cleared.unwrap_or(usize::MAX));
    }

    fn cleared_by(&self, index: usize, rule: &Rule) -> usize {
        let policy = &self.plan.policies[rule.policy];
        let closed = policy.failure_policy == FailurePolicy::Closed;
        let release = rule.action.kind().release();
        let acts = release != Release::AtOnce;
        if self.rules[index].is_unscored() || !(acts || closed) {
            return usize::MAX;
        }
        let (tokens, counted) = (self.sections.tokens(), self.sections.of(rule.score));
        match (rule.score, policy.window) {
            // Decided for good at the prompt. A policy that fails closed still waits for each
            // token's own score.
            (Score::PromptLast, _) if !self.prompt_scored => 0,
            (Score::PromptLast, _) if !closed => usize::MAX,
            (Score::PromptLast, _) => tokens,
            _ if !acts || self.finished => tokens,
            _ if release == Release::AtEnd => 0,
            _ if counted.is_empty() || self.sections.is_over(rule.score) => tokens,
            (_, Some(window)) => match self.rules[index].tokens_in_doubt(window.of_last) {
                0 => tokens,
                doubtful => counted.end - doubtful,
            },
            (_, None) if is_decided(self.sections, rule, policy) => tokens,
            (_, None) => counted.start,
        }
    }
}

/// Whether a running mean decides by now: there are enough tokens that count, or all that will be.
fn is_decided(sections: Sections, rule: &Rule, policy: &PlannedPolicy) -> bool {
    sections.of(rule.score).len() >= policy.min_tokens || sections.is_over(rule.score)
}

/// Whether a token of a section counts for a score.
fn counts(section: Section, score: Score) -> bool {
    match score {
        Score::PromptLast => false,
        Score::ResponseAvg => true,
        Score::AnswerAvg => section != Section::Reasoning,
        Score::ReasoningAvg => section != Section::Answer,
    }
}
