//! Rotary position embedding, and how its frequencies are scaled to contexts longer than those of
//! training.

use std::f64::consts::PI;

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    pub(crate) pairs: Pairs,
    /// Values of a head that are rotated, even.
    pub(crate) width: usize,
    pub(crate) base: f64,
    /// Positions are divided by this (linear scaling).
    pub(crate) stretch: f64,
    /// Divisors of each pair's frequency besides, where the weights have none.
    pub(crate) factors: Option<Vec<f32>>,
    /// Cosines and sines are multiplied by this, 1 but in YaRN.
    pub(crate) magnitude: f32,
}

/// Which two values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// 2i and 2i + 1.
    Neighbours,
    /// i and i + width / 2.
    Halves,
}

impl Rope {
    /// Unscaled.
    pub(crate) fn plain(pairs: Pairs, width: usize, base: f64) -> Self {
        Self { pairs, width, base, stretch: 1.0, factors: None, magnitude: 1.0 }
    }

    /// Scaled by YaRN (arXiv 2309.00071, section 3): waves that turned more than `fast` times
    /// within the context of training stay, those that turned less than `slow` times are stretched
    /// by `factor`, between the two in between. `attention` multiplies the usual magnitude, 0.1
    /// ln(factor) + 1.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub(super) fn yarn(self, Yarn { factor, context, fast, slow, attention }: Yarn) -> Self {
        // The pair, as a real number, that turns so often.
        let pair = |turns: f64| {
            self.width as f64 * (context / (turns * 2.0 * PI)).ln() / (2.0 * self.base.ln())
        };
        let low = pair(fast).floor().max(0.0);
        let high = pair(slow).ceil().min(self.width as f64 - 1.0);
        let divisor = |pair: usize| {
            let stretched = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            (1.0 / (stretched / factor + 1.0 - stretched)) as f32
        };
        let factors = (0..self.width / 2).map(divisor).collect();
        let magnitude = (attention * (0.1 * factor.max(1.0).ln() + 1.0)) as f32;
        Self { factors: Some(factors), magnitude, ..self }
    }
}

/// See [`Rope::yarn`].
pub(super) struct Yarn {
    pub(super) factor: f64,
    /// Of training, in tokens.
    pub(super) context: f64,
    pub(super) fast: f64,
    pub(super) slow: f64,
    pub(super) attention: f64,
}

impl Yarn {
    pub(super) const FAST: f64 = 32.0;
    pub(super) const SLOW: f64 = 1.0;
}

/// Divisors of each pair's frequency in Llama 3's scaling: 1 for short waves, `factor` for long
/// ones, between the two in between.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(super) fn llama3_factors(
    width: usize,
    base: f64,
    factor: f64,
    low: f64,
    high: f64,
    context: f64,
) -> Vec<f32> {
    let divisor = |pair: usize| {
        let wavelength = 2.0 * PI * base.powf(2.0 * pair as f64 / width as f64);
        if wavelength < context / high {
            return 1.0;
        }
        if wavelength > context / low {
            return factor;
        }
        let smooth = (context / wavelength - low) / (high - low);
        1.0 / ((1.0 - smooth) / factor + smooth)
    };
    (0..width / 2).map(|pair| divisor(pair) as f32).collect()
}
