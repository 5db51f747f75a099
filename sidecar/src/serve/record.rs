//! What is counted of one response, exactly once, also when the client goes away.

use super::response::Usage;
use crate::guard::{Breach, Decision, Stop};
use crate::host::Host;
use crate::report::Ended;
use crate::telemetry::metrics::Outcome;
use crate::telemetry::traces::{self, Ending};
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;

/// Counts for one response.
#[derive(Debug)]
pub(crate) struct Record {
    host: Arc<Host>,
    span: Span,
    id: String,
    begun: Instant,
    first_left: bool,
    breached: bool,
    closed: bool,
}

impl Record {
    pub(crate) fn new(host: Arc<Host>, span: Span, id: String) -> Self {
        Self { host, span, id, begun: Instant::now(), first_left: false, breached: false, closed: false }
    }

    /// The response never began.
    pub(crate) fn forget(&mut self) {
        self.closed = true;
    }

    /// Text left.
    pub(crate) fn left(&mut self) {
        if !std::mem::replace(&mut self.first_left, true) {
            self.host.metrics.first_token(self.begun.elapsed());
        }
    }

    /// Rules were breached.
    pub(crate) fn breaches(&mut self, decision: &Decision, breaches: &[Breach]) {
        let plan = decision.plan();
        for breach in breaches {
            self.breached = true;
            let rule = &plan.rules[breach.rule];
            self.host.metrics.breach(plan, rule);
            self.host.ledger.breach(plan, breach, &self.id);
            tracing::warn!(response_id = %self.id, policy = %plan.policies[rule.policy].name,
                vector = %plan.taps[rule.tap].vector, score = breach.score, threshold = breach.threshold,
                action = ?rule.action, "breach");
        }
    }

    /// The response ended. What is told after the first time is not counted.
    pub(crate) fn close(&mut self, decision: &Decision, outcome: Outcome, usage: Usage) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let plan = decision.plan();
        let (metrics, elapsed) = (&self.host.metrics, self.begun.elapsed());
        metrics.response(outcome, elapsed);
        metrics.tokens(usage.prompt_tokens as u64, usage.completion_tokens as u64);
        for rule in &plan.rules {
            if let Some(score) = decision.score(rule) {
                metrics.score(plan, rule, score);
            }
        }
        let unguarded = decision.fault().filter(|_| decision.stop() != Some(Stop::Unscorable));
        if let Some(fault) = unguarded {
            metrics.unguarded(fault);
        }
        let blocked = decision.stop() == Some(Stop::Blocked);
        self.host.ledger.ended(decision, Ended { breached: self.breached, blocked, unguarded: unguarded.is_some() });
        let ending = Ending {
            response_id: &self.id,
            outcome,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        };
        traces::record(&self.span, ending, decision);
        tracing::info!(response_id = %self.id, outcome = outcome.label(), prompt_tokens = usage.prompt_tokens,
            completion_tokens = usage.completion_tokens, breached = self.breached,
            unguarded = unguarded.map(crate::guard::Fault::label),
            milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), "response");
    }
}
