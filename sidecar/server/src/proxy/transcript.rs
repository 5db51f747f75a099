//! What one response says so far, choice by choice. Pure: it is given text and scores.

use super::answer::{self, ChoiceDelta, Finish, Naming, Part, TokenIds, Unreadable};
use super::choice::{Release, ScoredChoice, TextSpan};
use super::echo::Echo;
use super::measured::Measured;
use super::token_count::TokenCount;
use crate::runtime::AppState;
use crate::session::{Record, SectionReader};
use crate::telemetry::labels::Outcome;
use crate::telemetry::traces::{record_engine_request, record_engine_response};
use personaguard_engine_link::RowFault;
use personaguard_guard::{Decision, Plan, Stop, UnscoredReason};
use personaguard_model::Score;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Span;

/// Bytes of text of one response at most.
const MAX_TEXT: usize = 4 << 20;

/// A pass to make: the choice, and how far into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) choice: usize,
    pub(super) to: usize,
}

impl Due {
    /// Whether it is the pass over the prompt, which scores no text.
    pub(super) fn is_prompt(&self) -> bool {
        self.to == 0
    }
}

/// What a response answers.
#[derive(Debug)]
pub(super) struct PromptContext {
    pub(super) messages: Vec<Value>,
    /// Tokens of each prompt.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Choices for each prompt.
    pub(super) per_prompt: usize,
}

impl PromptContext {
    /// Tokens of the prompt that a choice answers.
    fn tokens_of(&self, choice: usize) -> Vec<u32> {
        self.prompts
            .get(choice / self.per_prompt % self.prompts.len().max(1))
            .cloned()
            .unwrap_or_default()
    }
}

/// The choices of one response.
#[derive(Debug)]
pub(super) struct Transcript {
    app: Arc<AppState>,
    /// How each choice begins.
    decision: Decision,
    span: Span,
    /// What is answered, where the conversation is to be logged.
    prompt: Option<PromptContext>,
    choices: BTreeMap<usize, ScoredChoice>,
    echo: Echo,
    /// How the sections of each choice are told apart.
    sections: SectionReader,
    /// Set once the server has shown that it can give the tokens of its text.
    knows_tokens: Arc<AtomicBool>,
    /// The tokens behind the text, where the engine that writes it measures them.
    count: Option<TokenCount>,
    /// Whether the trace has the name that the engine has for it.
    is_named: bool,
    bytes: usize,
    /// Why no choice can be scored, those to come included.
    failed: Option<UnscoredReason>,
}

impl Transcript {
    /// A response that is about to begin, with its first choice.
    pub(super) fn new(app: Arc<AppState>, decision: Decision, span: Span) -> Self {
        let mut transcript = Self {
            app,
            decision,
            span,
            prompt: None,
            choices: BTreeMap::new(),
            echo: Echo::default(),
            sections: SectionReader::undivided(),
            knows_tokens: Arc::default(),
            count: None,
            is_named: false,
            bytes: 0,
            failed: None,
        };
        transcript.choice(0);
        transcript
    }

    /// What is measured and enforced on it.
    pub(super) fn plan(&self) -> &Plan {
        self.decision.plan()
    }

    /// Whether the conversation is to be logged; then [`Self::set_prompt`] gives the other half of
    /// it.
    pub(super) fn wants_conversation(&self) -> bool {
        self.choices.values().any(ScoredChoice::wants_conversation)
    }

    /// What is answered.
    pub(super) fn set_prompt(&mut self, prompt: PromptContext) {
        for (&index, choice) in &mut self.choices {
            choice.set_prompt(prompt.messages.clone(), prompt.tokens_of(index));
        }
        self.prompt = Some(prompt);
    }

    fn choice(&mut self, index: usize) -> &mut ScoredChoice {
        self.choices.entry(index).or_insert_with(|| {
            let id = format!("chatcmpl-{}", uuid::Uuid::new_v4().simple());
            let record = Record::new(Arc::clone(&self.app), self.span.clone(), id);
            let sections = self.sections.clone();
            let mut choice = ScoredChoice::new(self.decision.fresh(), record, sections);
            if let Some(prompt) = &self.prompt {
                choice.set_prompt(prompt.messages.clone(), prompt.tokens_of(index));
            }
            if let Some(fault) = self.failed {
                choice.fail(fault);
            }
            choice
        })
    }

    /// What the choices repeat before what the model writes.
    pub(super) fn set_echo(&mut self, echo: Echo) {
        self.echo = echo;
    }

    /// How sections are told apart, before anything was said.
    pub(super) fn set_sections(&mut self, sections: SectionReader) {
        for choice in self.choices.values_mut() {
            choice.set_sections(sections.clone());
        }
        self.sections = sections;
    }

    /// What to set once the server has shown that it can give the tokens of its text.
    pub(super) fn set_knows_tokens(&mut self, knows_tokens: Arc<AtomicBool>) {
        self.knows_tokens = knows_tokens;
    }

    /// What the server says are the tokens that a pass has to read.
    pub(super) fn given(&self, due: Due) -> Option<&[u32]> {
        self.choices.get(&due.choice)?.given(due.to)
    }

    /// They are not those of the text.
    pub(super) fn distrust(&mut self, due: Due) {
        if let Some(choice) = self.choices.get_mut(&due.choice) {
            choice.distrust();
        }
    }

    /// The pass that was just taken left these tokens, of text up to where it was `due`.
    pub(super) fn leave(&mut self, due: Due, tokens: Vec<u32>) {
        if let Some(choice) = self.choices.get_mut(&due.choice) {
            choice.leave(tokens, due.to);
        }
    }

    /// Takes an event or a whole body; gives the text that it holds, by the index of the choice,
    /// and leaves in the payload what may leave with it.
    pub(super) fn take(
        &mut self,
        naming: &Naming,
        part: Part,
        payload: &mut Value,
    ) -> Result<Vec<(usize, TextSpan)>, Unreadable> {
        if let Some(count) = &mut self.count {
            count.read(part, payload);
            if !self.is_named {
                self.is_named = record_engine_response(&self.span, payload);
            }
        }
        let first = self.choices.get(&0);
        let is_known = |text: &str| first.is_some_and(|choice| choice.has_said(text));
        let added = answer::read(naming, part, payload, &is_known)?;
        self.bytes += added.iter().map(|added| added.text.len()).sum::<usize>();
        if self.bytes > MAX_TEXT {
            return Err(Unreadable("the answer is longer than any context"));
        }
        if added.iter().any(|added| added.token_ids != TokenIds::Unknown) {
            self.knows_tokens.store(true, Ordering::Relaxed);
        }
        let spans = added.into_iter().map(|added| self.add(&added)).collect();
        if let Some(count) = &mut self.count {
            if self.choices.len() > 1 {
                return Err(Unreadable("there are more answers than were asked for"));
            }
            count.mark(self.choices.get(&0).map_or(0, ScoredChoice::text_len));
        }
        Ok(spans)
    }

    fn add(&mut self, added: &ChoiceDelta) -> (usize, TextSpan) {
        let skip = self.echo.strip(added.choice, &added.text);
        let choice = self.choice(added.choice);
        if let Some(finish) = added.finish {
            choice.set_outcome(match finish {
                Finish::Stop => Outcome::Stop,
                Finish::Length => Outcome::Length,
            });
        }
        (added.choice, choice.add(added, skip))
    }

    /// Nothing more comes.
    pub(super) fn complete(&mut self) {
        if let Some(count) = &mut self.count {
            count.complete();
        }
        self.choices.values_mut().for_each(ScoredChoice::complete);
    }

    /// Its only choice is measured, token by token, by the engine that writes it, which knows the
    /// request by this id.
    pub(super) fn expect_rows(&mut self, request: &str, count: TokenCount) {
        record_engine_request(&self.span, request);
        self.count = Some(count);
        self.choice(0).expect_rows();
    }

    /// Of its only choice, what is measured is not all there.
    pub(super) fn count_row_fault(&self, fault: RowFault) {
        self.app.metrics.engine.count_row_fault(fault);
    }

    /// The tokens behind the text, where the engine that writes it measures them.
    pub(super) fn count(&self) -> Option<&TokenCount> {
        self.count.as_ref()
    }

    /// The same, to be told of what the server has not counted.
    pub(super) fn count_mut(&mut self) -> Option<&mut TokenCount> {
        self.count.as_mut()
    }

    /// Its choice with its tokens, where the engine that writes it measures them.
    pub(super) fn measured(&mut self) -> Option<Measured<'_>> {
        let choice = self.choices.get_mut(&0)?;
        self.count.as_mut().map(|count| Measured { count, choice })
    }

    /// Whether it waits for the engine to measure more.
    pub(super) fn awaits_rows(&self) -> bool {
        self.count.is_some() && self.choices.get(&0).is_some_and(ScoredChoice::awaits)
    }

    /// Its first choice.
    pub(super) fn first(&mut self) -> &mut ScoredChoice {
        self.choice(0)
    }

    /// The next passes to make, one for each choice; by `force` also those for a few words only.
    /// The pass over the prompt comes alone: those of further choices then cost next to nothing.
    pub(super) fn due(&self, force: bool) -> Vec<Due> {
        let due = |(&choice, state): (&usize, &ScoredChoice)| {
            Some(Due { choice, to: state.next_pass(force)? })
        };
        let mut passes: Vec<_> = self.choices.iter().filter_map(due).collect();
        if let Some(prompt) = passes.iter().position(Due::is_prompt) {
            passes = vec![passes.swap_remove(prompt)];
        }
        passes
    }

    /// What that pass has to read.
    pub(super) fn unscored(&self, due: Due) -> Option<(&[u32], &str)> {
        Some(self.choices.get(&due.choice)?.unscored(due.to))
    }

    /// Takes what it read: tokens, and how many bytes each of them stands for.
    pub(super) fn scored(
        &mut self,
        due: Due,
        prompt_tokens: usize,
        tokens: &[u32],
        bytes: &[usize],
        score: &Score,
    ) {
        if let Some(choice) = self.choices.get_mut(&due.choice) {
            choice.scored(due.to, prompt_tokens, tokens, bytes, score);
        }
    }

    /// The rest of a choice cannot be scored.
    pub(super) fn fail_choice(&mut self, index: usize, fault: UnscoredReason) {
        if let Some(choice) = self.choices.get_mut(&index) {
            choice.fail(fault);
        }
    }

    /// The rest of the response cannot be scored.
    pub(super) fn fail(&mut self, fault: UnscoredReason) {
        self.failed.get_or_insert(fault);
        self.choices.values_mut().for_each(|choice| choice.fail(fault));
    }

    /// Whether nothing is scored any more, and everything passes.
    pub(super) fn is_open(&self) -> bool {
        self.failed.is_some() && self.stop().is_none()
    }

    /// Whether text waits for its scores.
    pub(super) fn waits(&self) -> bool {
        self.choices.values().any(ScoredChoice::waits)
    }

    /// Whether a piece of a choice may leave.
    pub(super) fn judge(&self, index: usize, span: TextSpan) -> Release {
        self.choices.get(&index).map_or(Release::Wait, |choice| choice.judge(span))
    }

    /// Bytes at the beginning of a piece that leave although the piece as a whole does not.
    pub(super) fn kept(&self, index: usize, span: TextSpan) -> usize {
        self.choices.get(&index).map_or(0, |choice| choice.kept(span))
    }

    /// What stands in place of what does not leave of a choice.
    pub(super) fn redaction(&self, index: usize) -> Option<Arc<str>> {
        self.choices.get(&index)?.redaction().filter(|text| !text.is_empty())
    }

    /// Whether a choice leaves as a whole.
    pub(super) fn is_whole(&self, index: usize) -> bool {
        self.choices.get(&index).is_some_and(ScoredChoice::is_whole)
    }

    /// Choices that a policy stopped.
    pub(super) fn stopped(&self) -> impl Iterator<Item = usize> {
        self.choices.iter().filter(|(_, choice)| choice.stop().is_some()).map(|(&index, _)| index)
    }

    /// The gravest of all choices: a policy that refuses what cannot be scored refuses the whole
    /// response.
    pub(super) fn stop(&self) -> Option<Stop> {
        let mut stops = self.choices.values().filter_map(ScoredChoice::stop);
        let first = stops.next()?;
        Some(stops.fold(first, |all, next| if next == Stop::Unscorable { next } else { all }))
    }

    /// Whether a policy stopped all of the `expected` choices.
    pub(super) fn all_stopped(&self, expected: usize) -> bool {
        self.stopped().count() >= expected.max(self.choices.len())
    }

    /// Text of a choice left.
    pub(super) fn left(&mut self, index: usize) {
        if let Some(choice) = self.choices.get_mut(&index) {
            choice.left();
        }
    }

    /// The response ended; as `other`, where it did not end by itself.
    pub(super) fn close(&mut self, other: Option<Outcome>) {
        self.choices.values_mut().for_each(|choice| choice.close(other));
    }

    /// Waits until what was recorded is on disk. False where it is not, and a policy refuses what
    /// is not recorded.
    pub(super) async fn settled(&mut self) -> bool {
        let mut in_time = true;
        for choice in self.choices.values_mut() {
            in_time &= choice.settled().await;
        }
        in_time || !self.plan().fails_closed()
    }

    /// There was no response of a model.
    pub(super) fn forget(&mut self) {
        self.choices.values_mut().for_each(ScoredChoice::forget);
    }
}
