//! Rotary position embedding (RoPE, arXiv 2104.09864), and how its frequencies are scaled to
//! contexts longer than those of training.

use std::f64::consts::PI;

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    pub(crate) layout: RopeLayout,
    /// How many values of a head are rotated; even.
    pub(crate) dims: usize,
    /// Pair i turns by base^(−2i / dims) radians per position, before scaling.
    pub(crate) base: f64,
    /// Frequencies are divided by this (linear scaling).
    pub(crate) linear_scale: f64,
    /// Further divisors, used where the weights bring none.
    pub(crate) factors: Option<RopeFactors>,
    /// Longest context of training, in tokens; `usize::MAX` where nothing depends on it.
    pub(crate) trained_context: usize,
    /// Factor on cosines and sines; 1 unless scaled by YaRN or LongRoPE.
    pub(crate) magnitude: f32,
}

/// Divisors of frequencies, one for each pair.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RopeFactors {
    /// For every context.
    Any(Vec<f32>),
    /// Of LongRoPE (arXiv 2402.13753): for contexts as long as in training, and for longer ones.
    /// Keys in the cache are rotated, and shared among requests, so that the longest context that
    /// is served decides, as in llama.cpp and vLLM.
    ByContext { short: Vec<f32>, long: Vec<f32> },
}

impl RopeFactors {
    /// The divisors for contexts that may be longer than in training, or not.
    pub(crate) fn at(&self, is_long: bool) -> &[f32] {
        match self {
            Self::Any(factors) => factors,
            Self::ByContext { long, .. } if is_long => long,
            Self::ByContext { short, .. } => short,
        }
    }
}

/// Which two values of a head form a pair that is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RopeLayout {
    /// 2i and 2i + 1.
    Interleaved,
    /// i and i + dims / 2, as in GPT-NeoX.
    NeoX,
}

impl Rope {
    /// RoPE without scaling.
    pub(crate) fn unscaled(layout: RopeLayout, dims: usize, base: f64) -> Self {
        Self {
            layout,
            dims,
            base,
            linear_scale: 1.0,
            factors: None,
            trained_context: usize::MAX,
            magnitude: 1.0,
        }
    }

    /// The same, scaled by YaRN (arXiv 2309.00071, section 3). Waves that turn more than
    /// `beta_fast` times within the context of training stay as they are; those that turn less than
    /// `beta_slow` times are stretched by `factor`; in between the two are interpolated, from a
    /// whole pair to a whole pair where bounds are rounded. The magnitude is `attention_factor` ·
    /// (0.1 ln(factor) + 1).
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub(crate) fn with_yarn(self, yarn: &YarnScaling) -> Self {
        let &YarnScaling { factor, original_context, attention_factor, .. } = yarn;
        // The (fractional) number of the pair that turns this many times.
        let pair = |turns: f64| {
            self.dims as f64 * (original_context / (turns * 2.0 * PI)).ln() / (2.0 * self.base.ln())
        };
        let [low, high] = [pair(yarn.beta_fast), pair(yarn.beta_slow)];
        let [low, high] = if yarn.rounds { [low.floor(), high.ceil()] } else { [low, high] };
        let (low, high) = (low.max(0.0), high.min(self.dims as f64 - 1.0));
        let divisor = |pair: usize| {
            let stretched = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            (1.0 / (stretched / factor + 1.0 - stretched)) as f32
        };
        let factors = (0..self.dims / 2).map(divisor).collect();
        let magnitude = (attention_factor * (0.1 * factor.max(1.0).ln() + 1.0)) as f32;
        Self { factors: Some(RopeFactors::Any(factors)), magnitude, ..self }
    }
}

/// Parameters of [`Rope::with_yarn`].
pub(crate) struct YarnScaling {
    pub(crate) factor: f64,
    /// Context of training, in tokens.
    pub(crate) original_context: f64,
    pub(crate) beta_fast: f64,
    pub(crate) beta_slow: f64,
    pub(crate) attention_factor: f64,
    pub(crate) rounds: bool,
}

impl YarnScaling {
    /// `beta_fast` where a file gives none.
    pub(crate) const BETA_FAST: f64 = 32.0;
    /// `beta_slow` where a file gives none.
    pub(crate) const BETA_SLOW: f64 = 1.0;
}

/// Divisors of each pair's frequency in Llama 3's scaling: 1 for wavelengths below
/// `original_context / high_freq_factor` tokens, `factor` above `original_context /
/// low_freq_factor`, interpolated in between. As in Hugging Face's `_compute_llama3_parameters`.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub(crate) fn llama3_factors(
    dims: usize,
    base: f64,
    factor: f64,
    low_freq_factor: f64,
    high_freq_factor: f64,
    original_context: f64,
) -> Vec<f32> {
    let divisor = |pair: usize| {
        let wavelength = 2.0 * PI * base.powf(2.0 * pair as f64 / dims as f64);
        if wavelength < original_context / high_freq_factor {
            return 1.0;
        }
        if wavelength > original_context / low_freq_factor {
            return factor;
        }
        let smooth = (original_context / wavelength - low_freq_factor)
            / (high_freq_factor - low_freq_factor);
        1.0 / ((1.0 - smooth) / factor + smooth)
    };
    (0..dims / 2).map(|pair| divisor(pair) as f32).collect()
}
