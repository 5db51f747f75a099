//! What is recorded of one response: exactly once, also when the client goes away.

use crate::audit::Receipt;
use crate::audit::entry::{self, Conversation, ResponseEntry};
use crate::openai::Usage;
use crate::report::ResponseFlags;
use crate::runtime::AppState;
use crate::telemetry::labels::{Outcome, RegenerationResult};
use crate::telemetry::traces::{self, Ending};
use personaguard_guard::{Breach, Decision, Stop, UnscoredReason};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Span;

/// The longest time that the end of a response waits for its entries to be on disk.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// The record of one response.
#[derive(Debug)]
pub(crate) struct Record {
    app: Arc<AppState>,
    span: Span,
    id: String,
    started: Instant,
    has_left: bool,
    /// Rules whose breach was recorded.
    breached: Vec<usize>,
    /// How often the response was written.
    attempts: u32,
    /// Tokens of attempts that did not leave.
    discarded: usize,
    conversation: Option<Conversation>,
    /// Of entries that are on their way to the disk.
    receipts: Vec<Receipt>,
    is_closed: bool,
}

/// A prompt and its response, word for word.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) messages: Vec<Value>,
    /// Tokens of the prompt, where they do not follow from the messages alone.
    pub(crate) prompt: Vec<u32>,
    /// Tokens of the response that were scored.
    pub(crate) tokens: Vec<u32>,
    pub(crate) text: String,
}

impl Record {
    pub(crate) fn new(app: Arc<AppState>, span: Span, id: String) -> Self {
        Self {
            app,
            span,
            id,
            started: Instant::now(),
            has_left: false,
            breached: Vec::new(),
            attempts: 1,
            discarded: 0,
            conversation: None,
            receipts: Vec::new(),
            is_closed: false,
        }
    }

    /// The response never began.
    pub(crate) fn forget(&mut self) {
        self.is_closed = true;
    }

    /// Text left.
    pub(crate) fn left(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            self.app.metrics.responses.observe_first_token(self.started.elapsed());
        }
    }

    /// The response is written once more.
    pub(crate) fn again(&mut self) {
        self.attempts += 1;
    }

    /// Tokens of an attempt that does not leave.
    pub(crate) fn discard(&mut self, completion_tokens: usize) {
        self.discarded += completion_tokens;
    }

    /// How often the response was written.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether a conversation under this plan is to be logged.
    pub(crate) fn wants_conversation(&self, decision: &Decision) -> bool {
        self.app.logs.conversations.is_some() && decision.plan().records_conversations()
    }

    /// What was exchanged, for the conversation log.
    pub(crate) fn exchange(&mut self, exchange: Exchange, decision: &Decision) {
        let Exchange { messages, prompt, tokens, text } = exchange;
        self.conversation = Some(Conversation {
            kind: Conversation::KIND.to_owned(),
            response_id: self.id.clone(),
            model: decision.plan().model.clone(),
            messages,
            prompt,
            // A pass over all of a text may have gone further than the decision.
            reasoning_tokens: decision.reasoning_tokens().min(tokens.len()),
            tokens,
            text,
            changes: entry::changes(decision.plan()),
        });
    }

    /// Rules were breached. A breach counts once, however often the response is written.
    pub(crate) fn breaches(&mut self, decision: &Decision, breaches: &[Breach]) {
        let plan = decision.plan();
        for breach in breaches {
            if self.breached.contains(&breach.rule) {
                continue;
            }
            self.breached.push(breach.rule);
            let rule = &plan.rules[breach.rule];
            self.app.metrics.policies.count_breach(plan, rule);
            self.app.ledger.count_breach(plan, breach, &self.id);
            tracing::warn!(response_id = %self.id, policy = %plan.policies[rule.policy].name,
                vector = %plan.vectors[rule.vector].name, score = breach.score,
                threshold = breach.threshold, action = plan.reported_action(rule).name(),
                mode = ?plan.policies[rule.policy].mode, "breach");
        }
    }

    /// The response ended. Only the first call counts.
    pub(crate) fn close(&mut self, decision: &Decision, outcome: Outcome, usage: Usage) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let plan = decision.plan();
        let (metrics, elapsed) = (&self.app.metrics, self.started.elapsed());
        metrics.responses.observe_end(outcome, elapsed);
        metrics.responses.count_tokens(
            usage.prompt_tokens as u64,
            (usage.completion_tokens + self.discarded) as u64,
        );
        for rule in &plan.rules {
            if let Some(score) = decision.score(rule) {
                metrics.policies.observe_score(plan, rule, score);
            }
            let sections = decision
                .running_score(rule.vector)
                .filter(|_| decision.is_sampled(rule.policy) && decision.reasoning_tokens() > 0);
            if let Some(sections) = sections {
                metrics.policies.observe_sections(plan, rule, sections);
            }
        }
        let unguarded = decision.unscored().filter(|_| decision.stop() != Some(Stop::Unscorable));
        if let Some(reason) = unguarded {
            metrics.responses.count_unguarded(reason);
        }
        for policy in (0..plan.policies.len()).filter(|policy| !decision.is_sampled(*policy)) {
            metrics.policies.count_unsampled(plan, policy);
        }
        if self.attempts > 1 {
            metrics.responses.count_regenerated(match decision.excess() {
                None => RegenerationResult::Within,
                Some(_) => RegenerationResult::Past,
            });
        }
        let breached = !self.breached.is_empty();
        let blocked = decision.stop().is_some_and(|stop| stop != Stop::Unscorable);
        self.app.ledger.count_response(
            decision,
            ResponseFlags { breached, blocked, unguarded: unguarded.is_some() },
        );
        self.log(decision, outcome, usage, unguarded);
        let ending = Ending {
            response_id: &self.id,
            outcome,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        };
        traces::record(&self.span, ending, decision);
        tracing::info!(response_id = %self.id, outcome = outcome.label(),
            prompt_tokens = usage.prompt_tokens,
            completion_tokens = usage.completion_tokens, breached,
            unguarded = unguarded.map(UnscoredReason::label),
            milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), "response");
    }

    /// After [`Self::close`]: waits until what the logs say of the response is on disk. The last
    /// byte of a response leaves only then. False if the audit log cannot be written, or takes too
    /// long.
    pub(crate) async fn settled(&mut self) -> bool {
        let mut in_time = true;
        for receipt in std::mem::take(&mut self.receipts) {
            in_time &= receipt.settled(SETTLE_TIME).await;
        }
        if !in_time {
            tracing::warn!(response_id = %self.id, "the logs' disk is slow: an entry is not on it");
        }
        in_time && !self.app.logs.is_audit_failing()
    }

    /// Writes to the logs on disk.
    fn log(
        &mut self,
        decision: &Decision,
        outcome: Outcome,
        usage: Usage,
        unguarded: Option<UnscoredReason>,
    ) {
        if let Some(audit) = &self.app.logs.audit {
            let entry = ResponseEntry {
                response_id: &self.id,
                outcome: outcome.label(),
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                attempts: self.attempts,
                unguarded: unguarded.map(UnscoredReason::label),
            };
            if let Ok(entry) = entry::response(entry, decision) {
                self.receipts.push(audit.push(entry));
            }
        }
        if let (Some(log), Some(conversation)) =
            (&self.app.logs.conversations, self.conversation.take())
            && let Ok(entry) = serde_json::to_value(conversation)
        {
            self.receipts.push(log.push(entry));
        }
    }
}
