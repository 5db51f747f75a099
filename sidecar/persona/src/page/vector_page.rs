//! A page about a vector.

mod answers;
mod held_out;
mod layers;
mod other_traits;
mod provenance;
mod steering;
mod summary;

use super::document::document;
use crate::vector_file::VectorFile;
use maud::html;

pub use answers::TokenScores;
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
    /// Names of traits, in the order of `cosines` and `cross_auroc`.
    pub traits: &'a [String],
    /// Cosine with each trait's vector at this vector's layer.
    pub cosines: &'a [f64],
    /// AUROC of this vector on each trait's held-out answers: as generated, and rescored under a
    /// neutral system prompt.
    pub cross_auroc: &'a [(f64, f64)],
    /// Correlation of `prompt_last` with the answer's log-likelihood ratio: over all system
    /// prompts, and within each.
    pub monitoring: Option<(f64, f64)>,
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
            (other_traits::prediction(self.monitoring))
            (other_traits::section(file, self.traits, self.cosines, self.cross_auroc))
            (provenance::section(file))
        };
        document(&title, &body)
    }
}

#[cfg(test)]
mod tests;
