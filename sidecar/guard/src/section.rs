//! The two sections of a response: reasoning, and the answer after it.

use personaguard_terms::Score;
use std::ops::Range;

/// The section of a response that a token belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// Nobody tells them apart, or not yet: the token counts for both.
    #[default]
    Unknown,
    /// What the model thinks before it answers, with the markers around it.
    Reasoning,
    /// What it says, function calls included.
    Answer,
}

/// Where the sections of one response lie. Reasoning comes first: from the first token of the
/// answer on, everything is the answer, whatever it is called.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sections {
    tokens: usize,
    /// Whether it is known what the tokens so far belong to.
    is_known: bool,
    answer_from: Option<usize>,
}

impl Sections {
    /// Tokens so far.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Takes the next token; gives the section that it counts for, and the one that tokens of
    /// unknown section turn out to be of.
    pub(crate) fn push(&mut self, section: Section) -> (Section, Option<Section>) {
        let was_known = self.is_known;
        let section = match section {
            _ if self.answer_from.is_some() => Section::Answer,
            Section::Unknown if was_known => Section::Answer,
            section => section,
        };
        if section == Section::Answer && self.answer_from.is_none() {
            self.answer_from = Some(if was_known { self.tokens } else { 0 });
        }
        self.is_known = was_known || section != Section::Unknown;
        self.tokens += 1;
        (section, (self.is_known && !was_known).then_some(section))
    }

    /// What came so far was reasoning. True where that was not known.
    pub(crate) fn set_reasoning(&mut self) -> bool {
        !std::mem::replace(&mut self.is_known, true)
    }

    /// The tokens that count for a score, of those so far.
    pub(crate) fn of(&self, score: Score) -> Range<usize> {
        let all = 0..self.tokens;
        let answer_from = self.answer_from.unwrap_or(self.tokens);
        match score {
            Score::ResponseAvg => all,
            Score::PromptLast => 0..0,
            Score::AnswerAvg | Score::ReasoningAvg if !self.is_known => all,
            Score::AnswerAvg => answer_from..self.tokens,
            Score::ReasoningAvg => 0..answer_from,
        }
    }

    /// Whether no further token counts for a score.
    pub(crate) fn is_over(&self, score: Score) -> bool {
        score == Score::ReasoningAvg && self.answer_from.is_some()
    }

    /// Tokens of reasoning, as far as that is known.
    pub(crate) fn reasoning(&self) -> usize {
        if self.is_known { self.of(Score::ReasoningAvg).len() } else { 0 }
    }
}
