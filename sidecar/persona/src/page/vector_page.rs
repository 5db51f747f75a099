//! A page about a vector.

mod answers;
mod held_out;
mod layers;
mod other_traits;
mod prediction;
mod provenance;
mod steering;
mod summary;

use super::document::document;
use crate::vector_file::VectorFile;
use maud::html;

pub use answers::TokenScores;
pub use other_traits::TraitComparison;
pub use prediction::PromptCorrelation;
pub use steering::SteeringExample;

/// A page about a vector.
#[derive(Clone, Copy, Debug)]
pub struct VectorPage<'a> {
    /// The vector.
    pub file: &'a VectorFile,
    /// Scores at the best layer of held-out answers that were asked to show the trait, and of those
    /// that were asked not to.
    pub held_out: (&'a [f64], &'a [f64]),
    /// Dose response with examples, in ascending order of coefficients.
    pub steering: &'a [SteeringExample],
    /// Answers to show token by token.
    pub answers: &'a [TokenScores],
    /// How well the prompt predicts the answer, if that was measured.
    pub prediction: Option<PromptCorrelation>,
    /// How the vector relates to the traits that were studied, itself included.
    pub traits: &'a [TraitComparison],
}

impl VectorPage<'_> {
    /// The HTML page.
    #[must_use]
    pub fn render(&self) -> String {
        let file = self.file;
        let title = format!("{} · {}", file.trait_name(), file.metadata().model.name);
        let body = html! {
            (summary::section(file))
            (layers::section(file))
            (held_out::section(file, self.held_out))
            (steering::section(self.steering))
            (answers::section(file, self.answers))
            (prediction::section(self.prediction))
            (other_traits::section(file, self.traits))
            (provenance::section(file))
        };
        document(&title, &body)
    }
}

#[cfg(test)]
mod tests;
