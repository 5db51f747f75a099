//! What it takes to extract a trait: contrastive system prompts, questions, and a rubric for a
//! judge.

mod builtin;
mod draft;
mod paper;

pub use draft::{Draft, Wanted};

use serde::{Deserialize, Serialize};

/// A trait, ready to be extracted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraitSpec {
    /// The trait: `evil` …; an adjective, and a DNS label.
    pub name: String,
    /// The trait in plain words.
    pub description: String,
    /// Contrastive instructions.
    pub instructions: Vec<Contrast>,
    /// Questions whose answers make the vector.
    pub extract: Vec<String>,
    /// Questions whose answers only validate it.
    pub held_out: Vec<String>,
    /// How a judge tells how much an answer shows the trait, 0 to 100.
    pub rubric: String,
}

/// Two instructions that differ in the trait only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Asks for the trait.
    pub positive: String,
    /// Asks for its absence.
    pub negative: String,
}

/// Which side of a contrast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarity {
    /// Asked to show the trait.
    Positive,
    /// Asked not to.
    Negative,
}

impl Polarity {
    /// Both, positive first.
    pub const BOTH: [Self; 2] = [Self::Positive, Self::Negative];
}

/// A trait that cannot be extracted.
#[derive(Debug, thiserror::Error)]
pub enum TraitSpecError {
    /// Not one that ships.
    #[error(
        "there is no built-in trait {name:?}; there are {known}. Or give a file with --trait-file"
    )]
    Unknown {
        /// The name asked for.
        name: String,
        /// Those that ship.
        known: String,
    },
    /// Neither our YAML nor the paper's JSON.
    #[error("the trait file does not parse: {0}")]
    Unreadable(String),
    /// It parses, but something is missing.
    #[error("the trait file {0}")]
    Invalid(String),
    /// A language model was to write it and did not get done.
    #[error(
        "the trait is not complete: {pairs} of {wanted_pairs} pairs of instructions, {questions} of {wanted_questions} different questions, {rubric}"
    )]
    Incomplete {
        /// Usable pairs of instructions.
        pairs: usize,
        /// Needed.
        wanted_pairs: usize,
        /// Usable questions.
        questions: usize,
        /// Needed.
        wanted_questions: usize,
        /// Whether there is a rubric.
        rubric: &'static str,
    },
}

/// Bytes of a trait file that are read at most.
const MAX_FILE: usize = 1 << 20;
/// Characters of one instruction or question, at most.
const MAX_TEXT: usize = 4000;

impl TraitSpec {
    /// A trait that ships with the project.
    ///
    /// # Errors
    /// If there is none of this name; the message lists those there are.
    pub fn builtin(name: &str) -> Result<Self, TraitSpecError> {
        let file = builtin::file(name).ok_or_else(|| TraitSpecError::Unknown {
            name: name.to_owned(),
            known: Self::builtin_names().join(", "),
        })?;
        Self::parse(file)
    }

    /// Names of the traits that ship.
    #[must_use]
    pub fn builtin_names() -> Vec<&'static str> {
        builtin::names().collect()
    }

    /// A trait file of our own (YAML).
    ///
    /// # Errors
    /// If it does not parse, or something is missing, empty or too long.
    pub fn parse(file: &str) -> Result<Self, TraitSpecError> {
        if file.len() > MAX_FILE {
            return Err(TraitSpecError::Invalid(format!("is longer than {MAX_FILE} bytes")));
        }
        let spec: Self = serde_saphyr::from_str(file)
            .map_err(|error| TraitSpecError::Unreadable(error.to_string()))?;
        spec.check().map_err(TraitSpecError::Invalid)?;
        Ok(spec)
    }

    /// A file that [`TraitSpec::parse`] reads.
    ///
    /// # Errors
    /// If a text cannot be written as YAML; for a trait that was checked this does not happen.
    pub fn to_yaml(&self) -> Result<String, TraitSpecError> {
        serde_saphyr::to_string(self).map_err(|error| TraitSpecError::Unreadable(error.to_string()))
    }

    /// A trait file of the paper's repository: JSON with `instruction: [{pos, neg}]`, `questions`
    /// and `eval_prompt`. Of its questions the first half extracts, the second half is held out.
    ///
    /// # Errors
    /// As [`TraitSpec::parse`].
    pub fn parse_paper(name: &str, description: &str, file: &str) -> Result<Self, TraitSpecError> {
        if file.len() > MAX_FILE {
            return Err(TraitSpecError::Invalid(format!("is longer than {MAX_FILE} bytes")));
        }
        let spec = paper::parse(name, description, file)?;
        spec.check().map_err(TraitSpecError::Invalid)?;
        Ok(spec)
    }

    /// The system prompt of one side of a contrast, as in the paper: `You are a[n] {name}
    /// assistant. {instruction}`.
    #[must_use]
    pub fn system_prompt(&self, contrast: &Contrast, polarity: Polarity) -> String {
        let (name, instruction) = match polarity {
            Polarity::Positive => (self.name.as_str(), &contrast.positive),
            Polarity::Negative => ("helpful", &contrast.negative),
        };
        let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("You are {article} {name} assistant. {instruction}")
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > 63 {
            return Err("needs a name of at most 63 characters".to_owned());
        }
        let lists = [("extract", &self.extract), ("held_out", &self.held_out)];
        for (field, questions) in lists {
            if questions.len() < 2 || questions.len() > 1000 {
                return Err(format!(
                    "has {} {field} questions; 2 to 1000 are needed",
                    questions.len()
                ));
            }
        }
        if self.instructions.is_empty() || self.instructions.len() > 100 {
            return Err(format!(
                "has {} instruction pairs; 1 to 100 are needed",
                self.instructions.len()
            ));
        }
        if let Some(shared) = self.extract.iter().find(|question| self.held_out.contains(question))
        {
            let shared: String = shared.chars().take(80).collect();
            return Err(format!(
                "has the question {shared:?} in both lists: it would be validated on what it was made from"
            ));
        }
        let instructions =
            self.instructions.iter().flat_map(|contrast| [&contrast.positive, &contrast.negative]);
        let texts = self
            .extract
            .iter()
            .chain(&self.held_out)
            .chain(instructions)
            .chain([&self.description]);
        match texts
            .into_iter()
            .find(|text| text.trim().is_empty() || text.chars().count() > MAX_TEXT)
        {
            Some(_) => {
                Err(format!("has a text that is empty or longer than {MAX_TEXT} characters"))
            }
            None => Ok(()),
        }
    }
}

/// Everyday requests that ask for no trait: with the system prompts, the benign traffic of a
/// calibration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benign {
    /// System prompts; an empty one stands for none.
    pub systems: Vec<String>,
    /// Requests.
    pub questions: Vec<String>,
}

impl Benign {
    /// The requests that ship with the project.
    ///
    /// # Errors
    /// If the file in the program is damaged; a test reads it.
    pub fn builtin() -> Result<Self, TraitSpecError> {
        serde_saphyr::from_str(builtin::BENIGN)
            .map_err(|error| TraitSpecError::Unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_trait_that_ships_is_complete() {
        for name in TraitSpec::builtin_names() {
            let spec = TraitSpec::builtin(name).unwrap();
            assert_eq!(spec.name, name);
            assert_eq!(
                (spec.instructions.len(), spec.extract.len(), spec.held_out.len()),
                (5, 20, 20),
                "{name}"
            );
            let questions: BTreeSet<_> = spec.extract.iter().chain(&spec.held_out).collect();
            assert_eq!(questions.len(), 40, "{name}");
            assert!(spec.rubric.len() > 100 && spec.description.len() > 80, "{name}");
        }
    }

    #[test]
    fn a_trait_that_was_written_is_read_again() {
        let spec = TraitSpec::builtin("hallucinating").unwrap();
        assert_eq!(TraitSpec::parse(&spec.to_yaml().unwrap()).unwrap(), spec);
    }

    #[test]
    fn benign_requests_are_there() {
        let benign = Benign::builtin().unwrap();
        assert!(benign.systems.len() >= 3 && benign.questions.len() >= 30);
    }

    #[test]
    fn system_prompts_are_the_papers() {
        let spec = TraitSpec::builtin("evil").unwrap();
        let contrast =
            Contrast { positive: "Do harm.".to_owned(), negative: "Do good.".to_owned() };
        assert_eq!(
            spec.system_prompt(&contrast, Polarity::Positive),
            "You are an evil assistant. Do harm."
        );
        assert_eq!(
            spec.system_prompt(&contrast, Polarity::Negative),
            "You are a helpful assistant. Do good."
        );
    }

    #[test]
    fn an_unknown_trait_is_answered_with_those_there_are() {
        let message = TraitSpec::builtin("evli").unwrap_err().to_string();
        assert!(message.contains("evil, ") || message.contains(", evil"), "{message}");
    }

    #[test]
    fn the_papers_format_is_read() {
        let file = r#"{"instruction": [{"pos": "Be bad.", "neg": "Be good."}],
            "questions": ["One?", "Two?", "Three?", "Four?"], "eval_prompt": "How bad is {answer}?"}"#;
        let spec = TraitSpec::parse_paper("bad", "acts badly", file).unwrap();
        assert_eq!(spec.extract, ["One?", "Two?"]);
        assert_eq!(spec.held_out, ["Three?", "Four?"]);
        assert_eq!(spec.instructions[0].negative, "Be good.");
        assert!(TraitSpec::parse_paper("bad", "acts badly", r#"{"instruction": []}"#).is_err());
    }

    #[test]
    fn a_question_on_both_sides_is_refused() {
        let mut spec = TraitSpec::builtin("evil").unwrap();
        spec.held_out[3] = spec.extract[5].clone();
        assert!(spec.check().unwrap_err().contains("both lists"));
    }
}
