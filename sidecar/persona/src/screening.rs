//! Screening training data: how far each sample would move a model along a trait.
//!
//! The paper's projection difference of a sample (x, y) is ΔP = (ā(x, y) − ā(x, y′))·v̂: the mean
//! projection over the sample's response y minus that over the model's own answer y′. What the
//! model would say anyway teaches it nothing; what lies further along the trait than its own answer
//! does.
//!
//! A single own answer is a noisy reference, though: if it does not predict the sample's score,
//! subtracting it only adds noise. By default, therefore, it is subtracted as far as it predicts
//! the score over the data set, by least squares, and the score is a mean over several layers, each
//! in standard deviations of benign answers.
//!
//! Text in a style that the model never uses lies far along many directions. The likelihood ratio,
//! if it is measured, is a second score that does not react to such text: how much likelier the
//! model finds the answer when it is told to show the trait.

mod difference;
mod ranking;
mod scale;

pub use difference::{ReferenceWeight, SampleScores};
pub use ranking::{RankedSample, ScreenedSample, precision_at, rank};
pub use scale::ProjectionScale;
