//! One choice of a response: how much of it was scored, and how much may leave.

use super::answer::{ChoiceDelta, TokenIds, is_repeated};
use super::scored_text::ScoredText;
use crate::openai::Usage;
use crate::session::{Exchange, Record, SectionReader};
use crate::telemetry::labels::Outcome;
use personaguard_guard::{Decision, Section, Sentences, Stop, UnscoredReason};
use personaguard_model::Score;
use serde_json::Value;
use std::sync::Arc;

/// A piece of a choice's text, in bytes: its scores must be known before it may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextSpan {
    pub(super) from: usize,
    pub(super) to: usize,
    /// It says how the choice ends, so all scores must be known.
    pub(super) is_last: bool,
    /// Bytes before it that repeat the prompt. They may leave.
    pub(super) skip: usize,
}

/// Whether something that is held may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    Now,
    Wait,
    Never,
}

/// One choice. Dropping it counts it as cancelled, unless it was closed.
#[derive(Debug)]
pub(super) struct ScoredChoice {
    decision: Decision,
    record: Record,
    text: ScoredText,
    sections: SectionReader,
    sentences: Sentences,
    /// Tokens that the decision was given: up to the one that breached.
    judged: usize,
    prompt_tokens: usize,
    /// The prompt was scored.
    is_prompted: bool,
    /// Bytes of the text that may leave.
    cleared: usize,
    /// All text has come.
    is_complete: bool,
    /// All text was scored.
    is_ended: bool,
    /// Nothing more is scored, and the failure policy lets it pass.
    is_open: bool,
    /// Its tokens come measured, and not all of them have.
    awaits_rows: bool,
    /// Its tokens, where the engine that measures them tells them.
    told_tokens: Option<Vec<u32>>,
    outcome: Outcome,
    /// Messages and tokens of the prompt, where the conversation is to be logged.
    prompt: Option<(Vec<Value>, Vec<u32>)>,
}

impl ScoredChoice {
    pub(super) fn new(decision: Decision, record: Record, sections: SectionReader) -> Self {
        // Where nothing is measured, nothing waits for a pass.
        let is_open = decision.plan().vectors.is_empty();
        Self {
            decision,
            record,
            text: ScoredText::default(),
            sections,
            sentences: Sentences::default(),
            judged: 0,
            prompt_tokens: 0,
            is_prompted: false,
            cleared: 0,
            is_complete: false,
            is_ended: false,
            is_open,
            awaits_rows: false,
            told_tokens: None,
            outcome: Outcome::Stop,
            prompt: None,
        }
    }

    /// Takes more text but for its first `skip` bytes, which repeat the prompt, and gives what must
    /// be known of it before it may leave.
    pub(super) fn add(&mut self, added: &ChoiceDelta, skip: usize) -> TextSpan {
        let (text, is_whole, is_last) =
            (&added.text[skip..], added.is_whole, added.finish.is_some());
        let from = self.text.len();
        if !text.is_empty() {
            // Some servers say that a choice has ended, and go on.
            (self.is_complete, self.is_ended) = (false, false);
        }
        // Tokens of a repeated prompt are not told from those that follow.
        self.text.push(text, if skip == 0 { &added.token_ids } else { &TokenIds::Unknown });
        let (reasoning, said) = text.split_at(added.reasoning.saturating_sub(skip));
        self.sections.push_reasoning(reasoning);
        self.sections.push(said);
        if self.decision.plan().redacts() {
            if is_whole { self.sentences.extend_whole(text) } else { self.sentences.extend(text) }
        }
        if is_last {
            self.complete();
        }
        TextSpan { from, to: self.text.len(), is_last: self.is_complete, skip }
    }

    /// How sections are told apart.
    pub(super) fn set_sections(&mut self, sections: SectionReader) {
        self.sections = sections;
    }

    /// Whether it has said this before.
    pub(super) fn has_said(&self, text: &str) -> bool {
        is_repeated(self.text.all(), text)
    }

    /// No more text comes.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
        self.end();
    }

    /// How the upstream server says that it ended.
    pub(super) fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// How far the next pass should go, in bytes, if there is one to make.
    pub(super) fn next_pass(&self, force: bool) -> Option<usize> {
        if self.is_open || self.is_ended || self.decision.stop().is_some() {
            None
        } else if !self.is_prompted {
            // While the upstream server reads the prompt, so does the scorer.
            Some(0)
        } else if self.is_complete {
            Some(self.text.last_pass())
        } else {
            self.text.next_pass(force)
        }
    }

    /// Whether text waits for its scores.
    pub(super) fn waits(&self) -> bool {
        !self.is_open && self.decision.stop().is_none() && !self.text.is_scored()
    }

    /// What a pass up to `to` has to read: the tokens before, and the text that follows them.
    pub(super) fn unscored(&self, to: usize) -> (&[u32], &str) {
        (self.text.tokens(), self.text.unscored(to))
    }

    /// What the server says are the tokens of that text.
    pub(super) fn given(&self, to: usize) -> Option<&[u32]> {
        self.text.given(to)
    }

    /// They are not.
    pub(super) fn distrust(&mut self) {
        self.text.distrust();
    }

    /// The pass that was just taken left these tokens, of text up to byte `to`.
    pub(super) fn leave(&mut self, tokens: Vec<u32>, to: usize) {
        self.text.leave(tokens, to);
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
            return self.fail(UnscoredReason::MissingProjection);
        }
        self.prompt_tokens = prompt_tokens;
        if !std::mem::replace(&mut self.is_prompted, true) {
            self.decision.add_prompt(&score.prompt);
        }
        let ends = self.text.reaches(to, tokens.len(), bytes);
        for (projections, end) in score.response.iter().zip(ends) {
            if self.decision.stop().is_none() {
                if self.sections.has_reasoned() {
                    self.decision.set_reasoning();
                }
                self.decision.add_token(projections, self.sections.section(end));
                self.judged += 1;
            }
        }
        self.text.advance(to, tokens, bytes);
        self.end();
        self.settle();
    }

    /// Its tokens are measured by the engine that writes them.
    pub(super) fn expect_rows(&mut self) {
        self.awaits_rows = true;
    }

    /// Whether anything of it is still to be scored.
    pub(super) fn awaits(&self) -> bool {
        !self.is_open && !self.is_ended && self.decision.stop().is_none()
    }

    /// Takes the projections at the last token of the prompt.
    pub(super) fn measured_prompt(&mut self, tokens: usize, projections: &[f32]) {
        (self.is_prompted, self.prompt_tokens) = (true, tokens);
        self.decision.add_prompt(projections);
        self.settle();
    }

    /// Takes the projections at the next token, and the byte that its text reaches to at most,
    /// where that is known.
    pub(super) fn measured_token(&mut self, projections: &[f32], reach: Option<usize>) {
        if self.decision.stop().is_none() {
            let section = reach.map_or(Section::Unknown, |end| self.sections.section(end));
            if reach.is_some() && self.sections.has_reasoned() {
                self.decision.set_reasoning();
            }
            self.decision.add_token(projections, section);
            self.judged += 1;
        }
        self.settle();
    }

    /// The text up to byte `to` is of the first `tokens`, which were all judged.
    pub(super) fn measured_text(&mut self, to: usize, tokens: usize) {
        let new = tokens.saturating_sub(self.text.tokens().len());
        self.text.advance(to, &vec![0; new], &[]);
        self.settle();
    }

    /// All of its tokens were judged.
    pub(super) fn measured_all(&mut self, tokens: usize, told: Option<Vec<u32>>) {
        self.measured_text(self.text.len(), tokens);
        (self.awaits_rows, self.told_tokens, self.is_complete) = (false, told, true);
        self.end();
    }

    /// Bytes of its text.
    pub(super) fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The rest cannot be scored.
    pub(super) fn fail(&mut self, fault: UnscoredReason) {
        self.decision.fail(fault);
        self.is_open = self.decision.stop().is_none();
        self.settle();
    }

    fn end(&mut self) {
        if self.is_complete
            && self.is_prompted
            && self.text.is_scored()
            && !self.awaits_rows
            && self.decision.stop().is_none()
        {
            self.decision.finish();
            self.is_ended = true;
            self.settle();
        }
    }

    /// Text leaves in whole passes: of one in which a threshold was passed, nothing does. Under
    /// `Redact` it leaves in whole sentences, up to the breaching one.
    fn settle(&mut self) {
        let (scored, stop) = (self.text.tokens().len(), self.decision.stop());
        let releasable = self.decision.releasable(scored);
        if stop.is_none() && self.is_ended {
            self.cleared = self.text.scored();
        } else if self.decision.plan().redacts() {
            if matches!(stop, None | Some(Stop::Redacted)) {
                let known = self.text.end_of(releasable);
                self.cleared = self.cleared.max(self.sentences.floor(known));
            }
        } else if stop.is_none() && releasable >= scored {
            self.cleared = self.text.scored();
        }
        let breaches = self.decision.take_breaches();
        self.record.breaches(&self.decision, &breaches);
    }

    /// Whether a piece of the text may leave.
    pub(super) fn judge(&self, span: TextSpan) -> Release {
        let is_cleared = span.to <= self.cleared && (self.is_ended || !span.is_last);
        match self.decision.stop() {
            Some(_) if span.is_last || !is_cleared => Release::Never,
            None if !(is_cleared || self.is_open) => Release::Wait,
            _ => Release::Now,
        }
    }

    /// Bytes at the beginning of a piece that leave although the piece as a whole does not.
    pub(super) fn kept(&self, span: TextSpan) -> usize {
        if self.decision.stop() == Some(Stop::Redacted) {
            self.cleared.clamp(span.from, span.to) - span.from
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
        self.decision.stop().is_none() && (self.is_ended || self.is_open)
    }

    /// Its decision, as it stands.
    pub(super) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// How far it is from what the policies want: 0 within the thresholds, infinite where it is not
    /// complete.
    pub(super) fn distance(&self) -> f64 {
        match self.is_ended && self.decision.stop().is_none() {
            true => self.decision.excess().map_or(0.0, |excess| excess.max(f64::MIN_POSITIVE)),
            false => f64::INFINITY,
        }
    }

    /// Tokens that were scored.
    pub(super) fn scored_tokens(&self) -> usize {
        self.text.tokens().len()
    }

    /// `other` goes on with what is recorded of it; nothing is counted of this one by itself.
    pub(super) fn hand_over(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.record, &mut other.record);
        self.record.forget();
    }

    /// What is recorded of it.
    pub(super) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Why it was stopped, if it was.
    pub(super) fn stop(&self) -> Option<Stop> {
        self.decision.stop()
    }

    /// Whether the conversation is to be logged.
    pub(super) fn wants_conversation(&self) -> bool {
        self.record.wants_conversation(&self.decision)
    }

    /// What it answers, for the conversation log.
    pub(super) fn set_prompt(&mut self, messages: Vec<Value>, tokens: Vec<u32>) {
        self.prompt = Some((messages, tokens));
    }

    /// Text of it left.
    pub(super) fn left(&mut self) {
        self.record.left();
    }

    /// It ended; as `other`, where it did not end by itself.
    pub(super) fn close(&mut self, other: Option<Outcome>) {
        let outcome = match self.decision.stop() {
            Some(Stop::Unscorable) => Outcome::Error,
            Some(Stop::Blocked | Stop::Redacted) => Outcome::ContentFilter,
            None => other.unwrap_or(self.outcome),
        };
        let tokens = self.text.tokens();
        if let Some((messages, prompt)) = self.prompt.take() {
            let told = self.told_tokens.as_deref().unwrap_or(match self.awaits_rows {
                // Only how many there are is known.
                true => &[],
                false => tokens,
            });
            let exchange = Exchange {
                messages,
                prompt,
                tokens: told[..self.judged.min(told.len())].to_vec(),
                text: self.text.scored_text().to_owned(),
            };
            self.record.exchange(exchange, &self.decision);
        }
        let usage = Usage::new(self.prompt_tokens, tokens.len());
        self.record.close(&self.decision, outcome, usage);
    }

    /// Waits until what was recorded of it is on disk. False where it is not, in time.
    pub(super) async fn settled(&mut self) -> bool {
        self.record.settled().await
    }

    /// There was no response: nothing is counted.
    pub(super) fn forget(&mut self) {
        self.record.forget();
    }
}

impl Drop for ScoredChoice {
    fn drop(&mut self) {
        self.close(Some(Outcome::Cancelled));
    }
}
