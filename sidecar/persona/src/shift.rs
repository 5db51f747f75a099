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
    /// The mean in standard deviations of the base model's projections on these prompts. If those
    /// do not vary, any shift at all is infinite.
    pub sigmas: f64,
}

/// The shift along a raw `vector`, shape `[hidden]`. `activations` holds those of the base and the
/// tuned model at the last token of each prompt, each of shape `[hidden]`. `None` for fewer than
/// two prompts, the zero vector, or a number that is not finite.
#[must_use]
pub fn finetuning_shift(
    activations: &[(&[f32], &[f32])],
    vector: &[f32],
) -> Option<FinetuningShift> {
    let length = norm(vector);
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    let readable = activations.iter().all(|(base, tuned)| finite(base) && finite(tuned));
    if activations.len() < 2 || length == 0.0 || !length.is_finite() || !readable {
        return None;
    }
    let base: Vec<f64> = activations.iter().map(|(base, _)| dot(base, vector) / length).collect();
    let shifts: Vec<f64> = activations
        .iter()
        .zip(&base)
        .map(|((_, tuned), base)| dot(tuned, vector) / length - base)
        .collect();
    let (shift, spread) = (mean(&shifts), standard_deviation(&base));
    let sigmas = match (spread > 0.0, shift == 0.0) {
        (true, _) => shift / spread,
        (false, true) => 0.0,
        (false, false) => f64::INFINITY.copysign(shift),
    };
    let found = FinetuningShift { mean: shift, error: standard_error(&shifts), sigmas };
    (found.mean.is_finite() && !found.sigmas.is_nan()).then_some(found)
}

#[cfg(test)]
mod tests;
