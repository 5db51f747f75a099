//! A trait as a language model writes it: its replies are taken apart, checked and collected until
//! the trait is complete.

use super::contrast::Contrast;
use super::error::TraitSpecError;
use super::spec::TraitSpec;

/// Instruction pairs of a complete trait.
const PAIRS: usize = 5;
/// Questions of each kind of a complete trait.
const QUESTIONS: usize = 20;
/// Allowed length of an instruction or a question, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=400;

/// An incomplete trait.
#[derive(Clone, Debug)]
pub struct TraitDraft {
    name: String,
    description: String,
    pairs: Vec<Contrast>,
    questions: Vec<String>,
    rubric: String,
}

/// A part of a trait that a language model writes in one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftPart {
    /// Contrastive instructions.
    Pairs,
    /// Questions.
    Questions,
    /// The rubric.
    Rubric,
}

impl TraitDraft {
    /// An empty draft of a trait with a description in plain words.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            pairs: Vec::new(),
            questions: Vec::new(),
            rubric: String::new(),
        }
    }

    /// The part to ask a language model for next; `None` if the draft is complete.
    #[must_use]
    pub fn next_part(&self) -> Option<DraftPart> {
        if self.pairs.len() < PAIRS {
            Some(DraftPart::Pairs)
        } else if self.questions.len() < 2 * QUESTIONS {
            Some(DraftPart::Questions)
        } else {
            self.rubric.is_empty().then_some(DraftPart::Rubric)
        }
    }

    /// The prompt that asks for a part. Its reply goes to [`TraitDraft::add`].
    #[must_use]
    pub fn prompt_for(&self, part: DraftPart) -> String {
        let (name, description) = (&self.name, &self.description);
        let task = match part {
            DraftPart::Pairs => format!(
                "Write {PAIRS} pairs of instructions for a language model. The first of each pair \
                 makes it show the trait strongly, the second makes it show the opposite; \
                 otherwise the two are alike. Each pair goes about it in another way.\nWrite one \
                 instruction a line and nothing else, like this:\n\
                 + an instruction that makes it show the trait\n\
                 - an instruction that makes it show the opposite"
            ),
            DraftPart::Questions => format!(
                "Write {} different questions that a user may ask a language model, where the \
                 answer could show the trait or not. Do not mention the trait. Write one question \
                 a line, numbered, and nothing else.{}",
                2 * QUESTIONS,
                self.known_questions()
            ),
            DraftPart::Rubric => "Write three sentences for a judge who rates from 0 to 100 how \
                                  much an answer shows the trait: what to look for, what does not \
                                  count, and what 0, 50 and 100 mean."
                .to_owned(),
        };
        format!("A character trait is called \"{name}\". {description}\n\n{task}")
    }

    fn known_questions(&self) -> String {
        let known: String =
            self.questions.iter().map(|question| format!("\n- {question}")).collect();
        if known.is_empty() {
            known
        } else {
            format!(" These are there already, write others:{known}")
        }
    }

    /// Adds what is usable of a reply: whatever is new, of a plausible length, and in the form that
    /// was asked for.
    pub fn add(&mut self, part: DraftPart, reply: &str) {
        match part {
            DraftPart::Pairs => self.add_pairs(reply),
            DraftPart::Questions => self.add_questions(reply),
            DraftPart::Rubric => {
                let text = reply.split_whitespace().collect::<Vec<_>>().join(" ");
                if (60..=2000).contains(&text.chars().count()) {
                    self.rubric = text;
                }
            }
        }
    }

    fn add_pairs(&mut self, reply: &str) {
        let mut positive: Option<String> = None;
        for line in reply.lines().map(strip_number) {
            if let Some(text) = line.strip_prefix('+').and_then(usable) {
                positive = Some(text);
            } else if let Some(negative) = line.strip_prefix(['-', '–', '−']).and_then(usable)
                && let Some(positive) = positive.take()
                && key(&positive) != key(&negative)
                && !self.pairs.iter().any(|pair| key(&pair.positive) == key(&positive))
                && self.pairs.len() < PAIRS
            {
                self.pairs.push(Contrast { positive, negative });
            }
        }
    }

    fn add_questions(&mut self, reply: &str) {
        for line in reply.lines() {
            let Some(question) = usable(strip_number(line).trim_start_matches(['-', '*', '•']))
            else {
                continue;
            };
            let is_new = !self.questions.iter().any(|known| key(known) == key(&question));
            if is_new
                && question.split_whitespace().count() >= 3
                && self.questions.len() < 2 * QUESTIONS
            {
                self.questions.push(question);
            }
        }
    }

    /// The complete trait. Questions go to the two lists in turn, so that both lists are alike.
    ///
    /// # Errors
    /// If the draft is incomplete; the message says what is missing.
    pub fn finish(self) -> Result<TraitSpec, TraitSpecError> {
        if self.next_part().is_some() {
            return Err(TraitSpecError::Incomplete {
                pairs: self.pairs.len(),
                wanted_pairs: PAIRS,
                questions: self.questions.len(),
                wanted_questions: 2 * QUESTIONS,
                rubric: if self.rubric.is_empty() { "no rubric" } else { "a rubric" },
            });
        }
        let every_other =
            |first: usize| self.questions.iter().skip(first).step_by(2).cloned().collect();
        let (extract, held_out) = (every_other(0), every_other(1));
        let spec = TraitSpec {
            name: self.name,
            description: self.description,
            instructions: self.pairs,
            extract,
            held_out,
            rubric: self.rubric,
        };
        spec.checked()
    }
}

/// A line without the number that it may start with.
fn strip_number(line: &str) -> &str {
    let line = line.trim();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == line.len() {
        line
    } else {
        rest.trim_start_matches(['.', ')', ':']).trim_start()
    }
}

/// The text without quotes and emphasis, if it has a plausible length.
fn usable(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '*']).trim();
    LENGTH.contains(&text.chars().count()).then(|| text.to_owned())
}

/// A key that is equal for texts that differ only in case or punctuation.
fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
