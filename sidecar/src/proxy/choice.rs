//! One choice of an answer: its text, how much of it was scored, and how much may leave.

use crate::guard::{Decision, Fault, Stop};
use crate::serve::{Record, Usage};
use crate::telemetry::metrics::Outcome;
use personaguard_model::Score;

/// Bytes of text that make a pass worth its while: a dozen tokens.
const PIECE: usize = 48;

/// What must be known before something about a choice may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The scores of its text up to here, in bytes.
    Text(usize),
    /// That all of it was scored.
    End,
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
    /// Bytes of `text` whose tokens were scored.
    scored: usize,
    tokens: Vec<u32>,
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
}

impl Choice {
    pub(super) fn new(decision: Decision, record: Record) -> Self {
        Self {
            decision,
            record,
            text: String::new(),
            scored: 0,
            tokens: Vec::new(),
            prompt_tokens: 0,
            prompted: false,
            cleared: 0,
            complete: false,
            ended: false,
            open: false,
            outcome: Outcome::Stop,
        }
    }

    /// More text came.
    pub(super) fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Need of what was added last.
    pub(super) fn need(&self) -> Need {
        if self.complete { Need::End } else { Need::Text(self.text.len()) }
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

    /// How far the next pass should score, in bytes, if there is one to make. Words are not cut, where that can be helped.
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

    /// Takes the scores of the tokens up to byte `to`.
    pub(super) fn scored(&mut self, to: usize, prompt_tokens: usize, tokens: &[u32], score: &Score) {
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
            }
        }
        self.tokens.extend(tokens);
        self.scored = to;
        self.end();
        self.settle();
    }

    /// The rest cannot be scored.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.decision.fail(fault);
        self.open = self.decision.stop().is_none();
        self.settle();
    }

    fn end(&mut self) {
        if self.complete && self.prompted && self.scored == self.text.len() && self.decision.stop().is_none() {
            self.decision.end();
            self.ended = true;
            self.settle();
        }
    }

    /// Text leaves in whole passes: of one in which a threshold was passed, nothing does.
    fn settle(&mut self) {
        let scored = self.tokens.len();
        if self.decision.stop().is_none() && (self.ended || self.decision.releasable(scored) >= scored) {
            self.cleared = self.scored;
        }
        let breaches = self.decision.take_breaches();
        self.record.breaches(&self.decision, &breaches);
    }

    pub(super) fn verdict(&self, need: Need) -> Verdict {
        let known = match need {
            Need::Text(end) => end <= self.cleared,
            Need::End => self.ended,
        };
        match self.decision.stop() {
            Some(_) if need == Need::End || !known => Verdict::Never,
            None if !(known || self.open) => Verdict::Wait,
            _ => Verdict::Leave,
        }
    }

    /// Whether it is cut, and why.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.decision.stop()
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
        self.record.close(&self.decision, outcome, Usage::new(self.prompt_tokens, self.tokens.len()));
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
