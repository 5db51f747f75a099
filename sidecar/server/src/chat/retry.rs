//! Further attempts at a choice that is past a threshold with action `Regenerate`.

use super::attempt::Attempt;
use crate::runtime::{ActiveModel, interventions};
use personaguard_guard::{Decision, Plan};
use personaguard_model::{GenerateRequest, Generation};
use std::sync::Arc;

/// Further attempts: how to make them, and the best so far.
#[derive(Debug)]
pub(super) struct Retry {
    request: GenerateRequest,
    /// The plan of the first attempt.
    plan: Arc<Plan>,
    /// For each rule, whether an attempt was past its threshold.
    breached: Vec<bool>,
    made: u32,
    best: Option<Attempt>,
}

impl Retry {
    /// None where no rule of the plan asks for further attempts.
    pub(super) fn new(request: &GenerateRequest, plan: &Arc<Plan>) -> Option<Self> {
        (plan.max_retries() > 0).then(|| Self {
            request: request.clone(),
            plan: Arc::clone(plan),
            breached: vec![false; plan.rules.len()],
            made: 0,
            best: None,
        })
    }

    /// Begins the next attempt after `last`. There is none if the last is within its thresholds, if
    /// a more intrusive action stopped the first, or if the engine takes no more.
    pub(super) fn next(
        &mut self,
        active: &ActiveModel,
        last: &Attempt,
    ) -> Option<(Generation, Decision)> {
        let distance = last.distance();
        let is_first = self.made == 0;
        if self.made >= self.plan.max_retries()
            || distance == 0.0
            || (is_first && distance.is_infinite())
        {
            return None;
        }
        for (rule, breached) in self.breached.iter_mut().enumerate() {
            *breached |= last.decision.is_breached(rule);
        }
        let plan = self.plan.for_retry(|rule| self.breached[rule], self.made + 1);
        let request = GenerateRequest {
            interventions: interventions::interventions(&plan).ok()?,
            ..self.request.clone()
        };
        let generation = active.engine.submit(request).ok()?;
        self.made += 1;
        Some((generation, last.decision.restart_under(plan)))
    }

    /// Keeps an attempt if it is the best so far; gives the tokens of the one that is not kept.
    pub(super) fn keep(&mut self, attempt: Attempt) -> usize {
        match &mut self.best {
            Some(best) if best.distance() <= attempt.distance() => attempt.usage.completion_tokens,
            best => best.replace(attempt).map_or(0, |worse| worse.usage.completion_tokens),
        }
    }

    /// The best attempt but the last.
    pub(super) fn best(self) -> Option<Attempt> {
        self.best
    }
}
