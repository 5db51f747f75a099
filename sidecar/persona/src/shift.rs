//! How far finetuning moved a model along a trait.
//!
//! As in the paper, the finetuning shift is the mean difference of activations at the last prompt
//! token between the tuned and the base model, on the same prompts, projected on a persona vector.

use crate::linear::{dot, norm};
use crate::stats::{mean, standard_deviation, standard_error};

/// The finetuning shift of one trait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinetuningShift {
    /// Mean over prompts of (a_tuned − a_base)·v̂, in units of the residual stream.
    pub mean: f64,
    /// Standard error of the mean over prompts.
    pub error: f64,
    /// The mean in standard deviations of the base model's projections on these prompts; 0 if those
    /// do not vary.
    pub sigmas: f64,
}

/// The shift along a raw `vector`, shape `[hidden]`. `activations` holds those of the base and the
/// tuned model at the last token of each prompt, each of shape `[hidden]`. `None` for fewer than
/// two prompts, or the zero vector.
#[must_use]
pub fn finetuning_shift(
    activations: &[(&[f32], &[f32])],
    vector: &[f32],
) -> Option<FinetuningShift> {
    let length = norm(vector);
    if activations.len() < 2 || length == 0.0 {
        return None;
    }
    let base: Vec<f64> = activations.iter().map(|(base, _)| dot(base, vector) / length).collect();
    let shifts: Vec<f64> = activations
        .iter()
        .zip(&base)
        .map(|((_, tuned), base)| dot(tuned, vector) / length - base)
        .collect();
    let (shift, spread) = (mean(&shifts), standard_deviation(&base));
    Some(FinetuningShift {
        mean: shift,
        error: standard_error(&shifts),
        sigmas: if spread > 0.0 { shift / spread } else { 0.0 },
    })
}

#[cfg(test)]
mod tests;
