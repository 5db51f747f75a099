//! One choice of an answer: its text, how much of it was scored, and how much may leave.

use crate::openai::Usage;
use crate::session::{Exchange, Record};
use crate::telemetry::metrics::Outcome;
use personaguard_guard::{Decision, Fault, Sentences, Stop};
use personaguard_model::Score;
use serde_json::Value;
use std::sync::Arc;

/// Bytes of text that make a pass worth its while: a dozen tokens.
const PIECE: usize = 48;

/// A piece of a choice's text, in bytes: its scores must be known before it may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) from: usize,
    pub(super) to: usize,
    /// It tells how the choice ends: all must be known.
    pub(super) last: bool,
}

/// What becomes of something held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Leave,
    Wait,
    Never,
}

/// One choice. Dropping it counts it as cancelled, unless it was closed.
#[derive(Debug)]
pub(super) struct Choice {
    decision: Decision,
    record: Record,
    text: String,
    sentences: Sentences,
    /// Bytes of `text` whose tokens were scored.
    scored: usize,
    tokens: Vec<u32>,
    /// For each token, where it ends in `text`; too early where that is not known.
    ends: Vec<usize>,
    /// Tokens that were judged: up to the one that breached.
    judged: usize,
    prompt_tokens: usize,
    prompted: bool,
    /// Bytes of `text` that may leave.
    cleared: usize,
    /// All text has come.
    complete: bool,
    /// All text was scored.
    ended: bool,
    /// Nothing more is scored, and the failure policy lets it pass.
    open: bool,
    outcome: Outcome,
    /// Messages and tokens of the prompt, where the conversation is to be written down.
    conversation: Option<(Vec<Value>, Vec<u32>)>,
}

impl Choice {
    pub(super) fn new(decision: Decision, record: Record) -> Self {
        // Where nothing is measured, nothing waits for a pass.
        let open = decision.plan().taps.is_empty();
        Self {
            decision,
            record,
            text: String::new(),
            sentences: Sentences::default(),
            scored: 0,
            tokens: Vec::new(),
            ends: Vec::new(),
            judged: 0,
            prompt_tokens: 0,
            prompted: false,
            cleared: 0,
            complete: false,
            ended: false,
            open,
            outcome: Outcome::Stop,
            conversation: None,
        }
    }

    /// More text came; `whole` where it makes no sense in part. What must be known of it, `last`
    /// where it is the end.
    pub(super) fn add(&mut self, text: &str, whole: bool, last: bool) -> Need {
        let from = self.text.len();
        self.text.push_str(text);
        if self.decision.plan().redacts() {
            if whole { self.sentences.extend_whole(text) } else { self.sentences.extend(text) }
        }
        if last {
            self.complete();
        }
        Need { from, to: self.text.len(), last: self.complete }
    }

    /// No more text comes.
    pub(super) fn complete(&mut self) {
        self.complete = true;
        self.end();
    }

    /// How the upstream server says that it ended.
    pub(super) fn outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// How far the next pass should score, in bytes, if there is one to make. Words are not cut,
    /// where that can be helped.
    pub(super) fn due(&self, force: bool) -> Option<usize> {
        if self.open || self.ended || self.decision.stop().is_some() {
            return None;
        }
        let pending = &self.text[self.scored..];
        if self.complete {
            return Some(self.text.len());
        }
        if !self.prompted && pending.is_empty() {
            // While the upstream server reads the prompt, so does the scorer.
            return Some(0);
        }
        if pending.is_empty() || !(force || pending.len() >= PIECE) {
            return None;
        }
        match pending.rfind(char::is_whitespace) {
            Some(cut) if cut > 0 => Some(self.scored + cut),
            _ if force || pending.len() >= 4 * PIECE => Some(self.text.len()),
            _ => None,
        }
    }

    /// Whether text waits for its scores.
    pub(super) fn waits(&self) -> bool {
        !self.open && self.decision.stop().is_none() && self.text.len() > self.scored
    }

    /// What a pass up to `to` has to read: the tokens before, and the text that follows them.
    pub(super) fn unscored(&self, to: usize) -> (&[u32], &str) {
        (&self.tokens, &self.text[self.scored..to])
    }

    /// Takes the scores of the tokens up to byte `to`, and how many bytes each of them stands for.
    pub(super) fn scored(
        &mut self,
        to: usize,
        prompt_tokens: usize,
        tokens: &[u32],
        bytes: &[usize],
        score: &Score,
    ) {
        if score.response.len() != tokens.len() {
            return self.fail(Fault::Missing);
        }
        self.prompt_tokens = prompt_tokens;
        if !std::mem::replace(&mut self.prompted, true) {
            self.decision.prompt(&score.prompt);
        }
        for projections in &score.response {
            if self.decision.stop().is_none() {
                self.decision.token(projections);
                self.judged += 1;
            }
        }
        self.tokens.extend(tokens);
        self.place(to, tokens.len(), bytes);
        self.scored = to;
        self.end();
        self.settle();
    }

    /// Where the tokens of a pass end. Tokenizers that change the text that they read leave that
    /// open.
    fn place(&mut self, to: usize, tokens: usize, bytes: &[usize]) {
        let known = bytes.len() == tokens && self.scored + bytes.iter().sum::<usize>() == to;
        let mut end = self.scored;
        if known {
            self.ends.extend(bytes.iter().map(|bytes| {
                end += bytes;
                end
            }));
        } else if let Some(rest) = tokens.checked_sub(1) {
            self.ends.extend(std::iter::repeat_n(end, rest).chain([to]));
        }
    }

    /// The rest cannot be scored.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.decision.fail(fault);
        self.open = self.decision.stop().is_none();
        self.settle();
    }

    fn end(&mut self) {
        if self.complete
            && self.prompted
            && self.scored == self.text.len()
            && self.decision.stop().is_none()
        {
            self.decision.end();
            self.ended = true;
            self.settle();
        }
    }

    /// Text leaves in whole passes: of one in which a threshold was passed, nothing does. Under
    /// `Redact` it leaves in whole sentences, up to the breaching one.
    fn settle(&mut self) {
        let (scored, stop) = (self.tokens.len(), self.decision.stop());
        let releasable = self.decision.releasable(scored);
        if stop.is_none() && self.ended {
            self.cleared = self.scored;
        } else if self.decision.plan().redacts() {
            if matches!(stop, None | Some(Stop::Redacted)) {
                let known = releasable.checked_sub(1).map_or(0, |last| self.ends[last]);
                self.cleared = self.cleared.max(self.sentences.floor(known));
            }
        } else if stop.is_none() && releasable >= scored {
            self.cleared = self.scored;
        }
        let breaches = self.decision.take_breaches();
        self.record.breaches(&self.decision, &breaches);
    }

    pub(super) fn verdict(&self, need: Need) -> Verdict {
        let known = need.to <= self.cleared && (self.ended || !need.last);
        match self.decision.stop() {
            Some(_) if need.last || !known => Verdict::Never,
            None if !(known || self.open) => Verdict::Wait,
            _ => Verdict::Leave,
        }
    }

    /// Bytes at the beginning of a piece that leave although the piece as a whole does not.
    pub(super) fn kept(&self, need: Need) -> usize {
        if self.decision.stop() == Some(Stop::Redacted) {
            self.cleared.clamp(need.from, need.to) - need.from
        } else {
            0
        }
    }

    /// What stands in place of what does not leave.
    pub(super) fn redaction(&self) -> Option<Arc<str>> {
        self.decision.redaction().cloned()
    }

    /// Whether it leaves as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.decision.stop().is_none() && (self.ended || self.open)
    }

    /// Whether it is cut, and why.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.decision.stop()
    }

    /// Whether the conversation is to be written down.
    pub(super) fn wants_conversation(&self) -> bool {
        self.record.wants_conversation(&self.decision)
    }

    /// What it answers, for the conversation log.
    pub(super) fn answers(&mut self, messages: Vec<Value>, prompt: Vec<u32>) {
        self.conversation = Some((messages, prompt));
    }

    /// Text of it left.
    pub(super) fn left(&mut self) {
        self.record.left();
    }

    /// It ended, for a reason other than its own.
    pub(super) fn close(&mut self, other: Option<Outcome>) {
        let outcome = match self.decision.stop() {
            Some(Stop::Unscorable) => Outcome::Error,
            Some(Stop::Blocked | Stop::Redacted) => Outcome::ContentFilter,
            None => other.unwrap_or(self.outcome),
        };
        if let Some((messages, prompt)) = self.conversation.take() {
            let exchange = Exchange {
                messages,
                prompt,
                tokens: self.tokens[..self.judged.min(self.tokens.len())].to_vec(),
                text: self.text[..self.scored].to_owned(),
            };
            self.record.exchange(exchange, &self.decision);
        }
        self.record.close(
            &self.decision,
            outcome,
            Usage::new(self.prompt_tokens, self.tokens.len()),
        );
    }

    /// It never was: nothing is counted.
    pub(super) fn forget(&mut self) {
        self.record.forget();
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        self.close(Some(Outcome::Cancelled));
    }
}
