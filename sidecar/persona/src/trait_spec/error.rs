//! Why a trait cannot be extracted.

/// Why a trait cannot be extracted.
#[derive(Debug, thiserror::Error)]
pub enum TraitSpecError {
    /// There is no built-in trait of this name.
    #[error(
        "there is no built-in trait {name:?}; the built-in traits are {known}. For another trait, \
         give a file with --trait-file"
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Names of the built-in traits.
        known: String,
    },
    /// The file is neither valid YAML of this project nor valid JSON of the paper's repository.
    #[error("the trait file does not parse: {0}")]
    Unreadable(String),
    /// The file parses, but its content is incomplete or unusable.
    #[error("the trait file {0}")]
    Invalid(String),
    /// A language model was to write the trait and did not complete it.
    #[error(
        "the trait is incomplete: {pairs} of {wanted_pairs} pairs of instructions, {questions} of \
         {wanted_questions} different questions, {rubric}"
    )]
    Incomplete {
        /// Usable instruction pairs.
        pairs: usize,
        /// Instruction pairs that are needed.
        wanted_pairs: usize,
        /// Usable questions.
        questions: usize,
        /// Questions that are needed.
        wanted_questions: usize,
        /// Whether there is a rubric, in words.
        rubric: &'static str,
    },
}
