//! One attempt at a choice: what was written so far, and what of it may leave.

use super::call::Part;
use super::call_reader::CallReader;
use super::piece::{self, Piece};
use super::reasoning::{ReasoningReader, Sorted};
use crate::openai::Usage;
use crate::session::SectionReader;
use crate::telemetry::labels::Outcome;
use personaguard_guard::{Decision, Holdback, Sentences, Stop};
use personaguard_model::{End, Prefill, Token, Tokenizer};

/// What was written in one attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) decision: Decision,
    pub(super) usage: Usage,
    /// Of each token, for each vector; where the client asked for them.
    pub(super) projections: Vec<Vec<f32>>,
    /// Tokens that were scored, and their text, where they are retained.
    pub(super) tokens: Vec<u32>,
    pub(super) text: String,
    /// How it ended, once it did.
    pub(super) outcome: Option<Outcome>,
    /// The stop string that ended it, if one did.
    pub(super) stop_string: Option<String>,
    held: Holdback<Piece>,
    sentences: Sentences,
    /// Text that the engine held back, as it could become a stop string, until the end.
    tail: Option<Piece>,
    /// Whether the policy's own text has left.
    is_replaced: bool,
    /// Which tokens count as reasoning, whatever the client is shown of it.
    sections: SectionReader,
    /// Where reasoning is told apart.
    reasoning: Option<ReasoningReader>,
    /// Where functions may be called.
    calls: Option<CallReader>,
}

impl Attempt {
    pub(super) fn new(
        decision: Decision,
        sections: SectionReader,
        reasoning: Option<ReasoningReader>,
        calls: Option<CallReader>,
    ) -> Self {
        Self {
            decision,
            usage: Usage::default(),
            projections: Vec::new(),
            tokens: Vec::new(),
            text: String::new(),
            outcome: None,
            stop_string: None,
            held: Holdback::default(),
            sentences: Sentences::default(),
            tail: None,
            is_replaced: false,
            sections,
            reasoning,
            calls,
        }
    }

    pub(super) fn add_prompt(&mut self, prompt: &Prefill) {
        self.usage = Usage::new(prompt.tokens, 0).with_cached(prompt.cached);
        self.decision.add_prompt(&prompt.projections);
    }

    pub(super) fn add_token(&mut self, token: Token, tokenizer: &Tokenizer, retain: Retain) {
        self.usage = self.usage.with_completion(self.usage.completion_tokens + 1);
        // By the token's own text, which a stop string that may have begun does not delay.
        self.sections.push(&String::from_utf8_lossy(tokenizer.token_bytes(token.id)));
        let section = self.sections.section(self.sections.bytes());
        self.decision.add_token(&token.projections, section);
        self.sentences.push(&token.text);
        if retain.text {
            self.tokens.push(token.id);
            self.text.push_str(&token.text);
        }
        let logprob = retain.logprobs.then(|| piece::logprob(&token, tokenizer));
        self.held.push(Piece { text: token.text, logprob });
        if retain.projections {
            self.projections.push(token.projections);
        }
    }

    pub(super) fn finish(&mut self, end: End, retain: Retain) {
        self.usage = self.usage.with_completion(end.completion_tokens);
        self.decision.finish();
        if retain.text {
            self.text.push_str(&end.text);
        }
        self.stop_string = end.stop;
        self.tail = Some(Piece { text: end.text, logprob: None });
    }

    /// What may leave next. A tool call leaves when its last token may.
    pub(super) fn release(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.calls.as_mut().and_then(CallReader::next) {
                return Some(part);
            }
            let piece = match self.release_sorted() {
                Some(Sorted::Thought(piece)) => return Some(Part::Thought(piece.text)),
                Some(Sorted::Said(piece)) => Some(piece),
                None => None,
            };
            let Some(calls) = &mut self.calls else {
                return piece.or_else(|| self.replacement()).map(Part::Text);
            };
            match piece {
                Some(piece) => calls.push(piece),
                None if self.outcome.is_none() => return None,
                None if self.decision.stop().is_none() => {
                    calls.finish();
                    return calls.next();
                }
                None => {
                    calls.discard();
                    return self.replacement().map(Part::Text);
                }
            }
        }
    }

    /// Whether functions were called, as far as that may leave.
    pub(super) fn has_called(&self) -> bool {
        self.calls.as_ref().is_some_and(|calls| calls.calls() > 0)
    }

    /// Finishes it if nothing more of it would leave, although it is still being written.
    pub(super) fn finish_early(&mut self) -> bool {
        let is_full = self.calls.as_ref().is_some_and(CallReader::is_full);
        let finishes = self.outcome.is_none() && is_full;
        if finishes {
            self.decision.finish();
        }
        finishes
    }

    /// The next piece that may leave, as reasoning or as what is said.
    fn release_sorted(&mut self) -> Option<Sorted> {
        loop {
            if let Some(sorted) = self.reasoning.as_mut().and_then(ReasoningReader::next) {
                return Some(sorted);
            }
            let piece = self.release_piece();
            let is_whole = self.is_whole();
            match (&mut self.reasoning, piece) {
                (None, piece) => return piece.map(Sorted::Said),
                (Some(reader), Some(piece)) => reader.push(piece),
                (Some(reader), None) if is_whole => {
                    reader.finish();
                    return reader.next();
                }
                (Some(_), None) => return None,
            }
        }
    }

    /// Whether it has ended, and all of it may leave.
    fn is_whole(&self) -> bool {
        self.outcome.is_some() && self.decision.stop().is_none()
    }

    /// The next piece that may leave. Pieces without text wait for the text that completes them.
    fn release_piece(&mut self) -> Option<Piece> {
        let is_whole = self.is_whole();
        let mut limit = self.decision.releasable(self.held.pushed());
        if self.decision.plan().redacts() && !is_whole {
            limit = self.sentences.floor(limit);
        }
        loop {
            let piece = match self.held.release(limit) {
                Some(piece) => piece,
                None if is_whole => self.tail.take()?,
                None => return None,
            };
            if !piece.text.is_empty() || piece.logprob.is_some() {
                return Some(piece);
            }
        }
    }

    /// The policy's own text in place of what does not leave: once.
    fn replacement(&mut self) -> Option<Piece> {
        let text = self
            .decision
            .redaction()
            .filter(|text| !self.is_replaced && !text.is_empty())?
            .to_string();
        self.is_replaced = true;
        Some(Piece { text, logprob: None })
    }

    /// How far it is from what the policies want: 0 within the thresholds, infinite where it is not
    /// complete.
    pub(super) fn distance(&self) -> f64 {
        match (self.decision.stop(), self.outcome) {
            (None, Some(Outcome::Stop | Outcome::Length)) => {
                self.decision.excess().map_or(0.0, |excess| excess.max(f64::MIN_POSITIVE))
            }
            (None | Some(Stop::Redacted | Stop::Blocked | Stop::Unscorable), _) => f64::INFINITY,
        }
    }
}

/// What is retained of each token until the choice is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retain {
    /// Projections, which the client asked for.
    pub(super) projections: bool,
    /// Ids and text, for the conversation log and the check of coherence.
    pub(super) text: bool,
    /// Log probabilities, until the token leaves.
    pub(super) logprobs: bool,
}
