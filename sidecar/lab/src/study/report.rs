//! What a person reads about a trait that was studied.

use personaguard_persona::page::{
    PromptCorrelation, SteeringExample, TokenScores, TraitComparison,
};
use personaguard_persona::{SteeringPoint, is_monotonic};
use std::fmt;
use std::path::PathBuf;

/// What was found about one trait.
#[derive(Clone, Debug)]
pub struct TraitStudy {
    /// Name of the trait.
    pub name: String,
    /// The vector's layer.
    pub layer: u32,
    /// Scores of answers that were asked to show the trait.
    pub positive: Vec<f64>,
    /// Scores of answers that were asked not to.
    pub negative: Vec<f64>,
    /// Dose response with examples, in ascending order of coefficients.
    pub steering: Vec<SteeringExample>,
    /// Two answers token by token.
    pub answers: Vec<TokenScores>,
    /// How well the prompt predicts the answer.
    pub prediction: Option<PromptCorrelation>,
    /// How the vector relates to each of the traits, itself included.
    pub traits: Vec<TraitComparison>,
    /// The page that was written.
    pub page: PathBuf,
}

impl fmt::Display for TraitStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at layer {}", self.name, self.layer)?;
        writeln!(f, "  coefficient  response_avg  log-likelihood ratio")?;
        let points: Vec<SteeringPoint> =
            self.steering.iter().map(|example| example.point).collect();
        for point in &points {
            writeln!(
                f,
                "  {:>11}  {:>12.3}  {:>20.4}",
                point.coefficient, point.response_avg, point.likelihood_ratio
            )?;
        }
        let monotonic = if is_monotonic(&points) == Some(true) { "yes" } else { "NO" };
        writeln!(f, "  both rise at each step: {monotonic}")?;
        if let Some(PromptCorrelation { overall, within }) = self.prediction {
            writeln!(
                f,
                "  prompt_last predicts the answer: r {overall:.3} over all system prompts, \
                 {within:.3} within each"
            )?;
        }
        writeln!(f, "  trait             cosine  AUROC on its answers  rescored")?;
        for TraitComparison { name, cosine, auroc, rescored_auroc } in &self.traits {
            writeln!(f, "  {name:<16}  {cosine:>6.3}  {auroc:>20.3}  {rescored_auroc:>8.3}")?;
        }
        writeln!(f, "  {}", self.page.display())
    }
}
