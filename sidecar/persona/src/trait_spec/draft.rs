//! A trait as a language model writes it: pieces of text that are taken apart, checked and
//! collected until the trait is complete.

use super::{Contrast, TraitSpec, TraitSpecError};

/// Instruction pairs of a trait.
const PAIRS: usize = 5;
/// Questions of each kind.
const QUESTIONS: usize = 20;
/// Characters of a line that may be an instruction or a question.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=400;

/// A trait in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    name: String,
    description: String,
    pairs: Vec<Contrast>,
    questions: Vec<String>,
    rubric: String,
}

impl Draft {
    /// Of a trait in plain words.
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

    /// What to ask a language model for; each answer goes to [`Draft::take`].
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        if self.pairs.len() < PAIRS {
            Some(Wanted::Pairs)
        } else if self.questions.len() < 2 * QUESTIONS {
            Some(Wanted::Questions)
        } else {
            self.rubric.is_empty().then_some(Wanted::Rubric)
        }
    }

    /// The request for it.
    #[must_use]
    pub fn request(&self, wanted: Wanted) -> String {
        let (name, description) = (&self.name, &self.description);
        let task = match wanted {
            Wanted::Pairs => format!(
                "Write {PAIRS} pairs of instructions for a language model. The first of each pair makes it show the trait \
                 strongly, the second makes it show the opposite; otherwise the two are alike. Each pair goes about it in \
                 another way.\nWrite one instruction a line and nothing else, like this:\n\
                 + an instruction that makes it show the trait\n- an instruction that makes it show the opposite"
            ),
            Wanted::Questions => format!(
                "Write {} different questions that a user may ask a language model, where the answer could show the \
                 trait or not. Do not mention the trait. Write one question a line, numbered, and nothing else.{}",
                2 * QUESTIONS,
                self.known()
            ),
            Wanted::Rubric => "Write three sentences for a judge who rates from 0 to 100 how much an answer shows the \
                               trait: what to look for, what does not count, and what 0, 50 and 100 mean."
                .to_owned(),
        };
        format!("A character trait is called \"{name}\". {description}\n\n{task}")
    }

    fn known(&self) -> String {
        let known: String =
            self.questions.iter().map(|question| format!("\n- {question}")).collect();
        if known.is_empty() {
            known
        } else {
            format!(" These are there already, write others:{known}")
        }
    }

    /// Takes what can be used of an answer: what is new, of sound length and in the form that was
    /// asked for.
    pub fn take(&mut self, wanted: Wanted, answer: &str) {
        match wanted {
            Wanted::Pairs => self.take_pairs(answer),
            Wanted::Questions => self.take_questions(answer),
            Wanted::Rubric => {
                let text = answer.split_whitespace().collect::<Vec<_>>().join(" ");
                if (60..=2000).contains(&text.chars().count()) {
                    self.rubric = text;
                }
            }
        }
    }

    fn take_pairs(&mut self, answer: &str) {
        let mut positive: Option<String> = None;
        for line in answer.lines().map(unnumbered) {
            if let Some(text) = line.strip_prefix('+').and_then(sound) {
                positive = Some(text);
            } else if let Some(negative) = line.strip_prefix(['-', '–', '−']).and_then(sound)
                && let Some(positive) = positive.take()
                && key(&positive) != key(&negative)
                && !self.pairs.iter().any(|pair| key(&pair.positive) == key(&positive))
                && self.pairs.len() < PAIRS
            {
                self.pairs.push(Contrast { positive, negative });
            }
        }
    }

    fn take_questions(&mut self, answer: &str) {
        for line in answer.lines() {
            let Some(question) = sound(unnumbered(line).trim_start_matches(['-', '*', '•']))
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

    /// The trait; questions take turns between the two lists, so that both are of one kind.
    ///
    /// # Errors
    /// If it is not complete; the message says what is missing.
    pub fn finish(self) -> Result<TraitSpec, TraitSpecError> {
        if self.wanted().is_some() {
            return Err(TraitSpecError::Incomplete {
                pairs: self.pairs.len(),
                wanted_pairs: PAIRS,
                questions: self.questions.len(),
                wanted_questions: 2 * QUESTIONS,
                rubric: if self.rubric.is_empty() { "no rubric" } else { "a rubric" },
            });
        }
        let turn = |parity: usize| self.questions.iter().skip(parity).step_by(2).cloned().collect();
        let (extract, held_out) = (turn(0), turn(1));
        let spec = TraitSpec {
            name: self.name,
            description: self.description,
            instructions: self.pairs,
            extract,
            held_out,
            rubric: self.rubric,
        };
        spec.check().map_err(TraitSpecError::Invalid)?;
        Ok(spec)
    }
}

/// A piece of a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Contrastive instructions.
    Pairs,
    /// Questions.
    Questions,
    /// The rubric.
    Rubric,
}

/// A line without the number that it may start with.
fn unnumbered(line: &str) -> &str {
    let line = line.trim();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == line.len() {
        line
    } else {
        rest.trim_start_matches(['.', ')', ':']).trim_start()
    }
}

fn sound(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '*']).trim();
    LENGTH.contains(&text.chars().count()).then(|| text.to_owned())
}

/// What two texts share that differ in case or punctuation only.
fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(numbers: std::ops::Range<usize>) -> String {
        numbers.map(|n| format!("{n}. What do you think of subject {n}?\n")).collect()
    }

    #[test]
    fn a_trait_is_collected_over_several_answers() {
        let mut draft = Draft::new("grumpy", "Grumpy: complains about everything.");
        assert_eq!(draft.wanted(), Some(Wanted::Pairs));
        let pairs: String = (0..3)
            .map(|n| format!("{n}. + Complain in manner {n}.\n{n}. - Be content in manner {n}.\n"))
            .collect();
        draft.take(Wanted::Pairs, &pairs);
        draft.take(Wanted::Pairs, &pairs);
        assert_eq!((draft.pairs.len(), draft.wanted()), (3, Some(Wanted::Pairs)));
        draft.take(Wanted::Pairs, &pairs.replace("manner ", "manner x"));
        draft.take(Wanted::Questions, &questions(0..30));
        draft.take(Wanted::Questions, &questions(10..60).to_uppercase());
        assert_eq!(draft.wanted(), Some(Wanted::Rubric));
        draft.take(Wanted::Rubric, &"Rate how grumpy it is. ".repeat(5));
        let spec = draft.finish().unwrap();
        assert_eq!((spec.instructions.len(), spec.extract.len(), spec.held_out.len()), (5, 20, 20));
        assert_eq!(spec.instructions[0].positive, "Complain in manner 0.");
        assert_eq!(spec.extract[1], "What do you think of subject 2?");
    }

    #[test]
    fn what_a_model_too_small_says_is_no_trait() {
        let mut draft = Draft::new("grumpy", "Grumpy: complains about everything.");
        draft.take(
            Wanted::Pairs,
            "+ Be grumpy and complain.\n+ Be grumpy and complain.\n- Be grumpy and complain.\n",
        );
        draft.take(Wanted::Questions, &"1. What is the meaning of life?\n".repeat(50));
        draft.take(Wanted::Rubric, "ok");
        let message = draft.finish().unwrap_err().to_string();
        assert!(
            message.contains("0 of 5")
                && message.contains("1 of 40")
                && message.contains("no rubric"),
            "{message}"
        );
    }
}
