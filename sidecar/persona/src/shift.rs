//! The shift of a finetuned model: mean difference of its activations at the last prompt token from
//! its base model's, on the same prompts, projected on a persona vector.

use crate::linear::{dot, norm};
use crate::stats::{mean, standard_deviation};

/// How far finetuning moved a model along a trait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Mean over prompts of (a_tuned − a_base)·v̂.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// The mean in standard deviations of the base model's projections over these prompts.
    pub sigmas: f64,
}

/// From activations at the last prompt token, shape `[hidden]`, base and tuned of each prompt.
/// `None` for fewer than two prompts or a vector of zeros.
#[must_use]
pub fn shift(activations: &[(&[f32], &[f32])], vector: &[f32]) -> Option<Shift> {
    let length = norm(vector);
    if activations.len() < 2 || length == 0.0 {
        return None;
    }
    let base: Vec<f64> = activations.iter().map(|(base, _)| dot(base, vector) / length).collect();
    let moved: Vec<f64> = activations
        .iter()
        .zip(&base)
        .map(|((_, tuned), base)| dot(tuned, vector) / length - base)
        .collect();
    let (centre, spread) = (mean(&moved), standard_deviation(&base));
    Some(Shift {
        mean: centre,
        error: standard_deviation(&moved) / (moved.len() as f64).sqrt(),
        sigmas: if spread > 0.0 { centre / spread } else { 0.0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_along_the_vector_is_measured_in_units_of_the_residual_stream() {
        let base = [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]];
        let tuned = base.map(|[x, y]| [x + 3.0, y - 7.0]);
        let activations: Vec<(&[f32], &[f32])> =
            base.iter().zip(&tuned).map(|(a, b)| (a.as_slice(), b.as_slice())).collect();
        let shift = shift(&activations, &[10.0, 0.0]).unwrap();
        assert_eq!((shift.mean, shift.error, shift.sigmas), (3.0, 0.0, 1.5));
        assert_eq!(super::shift(&activations, &[0.0, 0.0]), None);
    }
}
