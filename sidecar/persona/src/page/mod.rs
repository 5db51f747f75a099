//! One self-contained HTML page about a vector: no script, no font, no picture from elsewhere.
//! Numbers stand in tables beside every chart.

mod chart;
mod html;
mod screening;
mod sections;

pub use screening::ScreeningPage;

use crate::{Rung, VectorFile};

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct VectorPage<'a> {
    /// The vector.
    pub file: &'a VectorFile,
    /// Scores of held-out answers at the best layer that were asked to show the trait, and of those
    /// asked not to.
    pub held_out: (&'a [f64], &'a [f64]),
    /// Effect of steering on the text, by rising coefficient.
    pub steering: &'a [Steered],
    /// Answers token by token.
    pub answers: &'a [TokenScores],
    /// Other traits, in the order of `cosines` and `cross_auroc`.
    pub traits: &'a [String],
    /// Cosine with each trait's vector at this vector's layer.
    pub cosines: &'a [f64],
    /// AUROC of this vector on each trait's held-out answers: as written, and reread under a
    /// neutral system prompt.
    pub cross_auroc: &'a [(f64, f64)],
    /// Correlation of `prompt_last` with the answer's trait measure: over all system prompts, and
    /// within one.
    pub monitoring: Option<(f64, f64)>,
}

/// What steering by one coefficient did to the model's answers, with an example.
#[derive(Clone, Debug, PartialEq)]
pub struct Steered {
    /// Its measures.
    pub rung: Rung,
    /// A question and the answer to it.
    pub example: (String, String),
}

/// An answer with the projection of each token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenScores {
    /// What it answers, and how it was asked.
    pub title: String,
    /// Tokens as text, with their projections.
    pub tokens: Vec<(String, f64)>,
}

impl VectorPage<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        let title = format!("{} · {}", self.file.trait_name(), self.file.metadata().model.name);
        let body = [
            sections::summary(self),
            sections::layers(self),
            sections::held_out(self),
            sections::steering(self),
            sections::answers(self),
            sections::others(self),
            sections::origin(self),
        ]
        .concat();
        html::page(&title, &body)
    }
}

#[cfg(test)]
mod tests;
