//! Rotary position embedding.

use super::segment::BatchRow;
use crate::config::{Config, Rope, RopeFactors, RopeLayout};

/// How fast the pairs of a decoder's heads turn.
#[derive(Debug)]
pub(super) struct RopeFrequencies {
    full: PairFrequencies,
    /// Of blocks with a sliding window, where these rotate differently.
    windowed: Option<PairFrequencies>,
}

#[derive(Debug)]
struct PairFrequencies {
    /// Radians per position, for each pair.
    pairs: Vec<f64>,
    magnitude: f64,
}

impl RopeFrequencies {
    /// For contexts of up to `context_length` tokens. Divisors that the weights bring take
    /// precedence over the description's.
    pub(super) fn new(
        config: &Config,
        weight_factors: Option<&RopeFactors>,
        context_length: usize,
    ) -> Self {
        let rope = &config.rope;
        let factors = weight_factors.or(rope.factors.as_ref());
        let factors = factors.map(|factors| factors.at(context_length > rope.trained_context));
        let windowed_base = config.window.as_ref().and_then(|window| window.rope_base);
        let windowed = windowed_base.map(|base| Rope::unscaled(rope.layout, rope.dims, base));
        Self {
            full: PairFrequencies::new(rope, factors),
            windowed: windowed.map(|rope| PairFrequencies::new(&rope, None)),
        }
    }
}

impl PairFrequencies {
    /// base^(−2i / dims), divided by the linear scale and by the pair's factor.
    fn new(rope: &Rope, factors: Option<&[f32]>) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let frequency = |pair: usize| {
            let factor = factors
                .and_then(|factors| factors.get(pair))
                .map_or(1.0, |&factor| f64::from(factor));
            rope.base.powf(-2.0 * pair as f64 / rope.dims as f64) / rope.linear_scale / factor
        };
        Self {
            pairs: (0..rope.dims / 2).map(frequency).collect(),
            magnitude: f64::from(rope.magnitude),
        }
    }
}

/// Rotations of a batch's rows, kept between passes to reuse their memory.
#[derive(Debug, Default)]
pub(super) struct RopeTables {
    full: RopeTable,
    windowed: RopeTable,
    has_windowed: bool,
}

impl RopeTables {
    /// Computes the rotations of these rows.
    pub(super) fn fill(&mut self, frequencies: &RopeFrequencies, rows: &[BatchRow]) {
        self.full.fill(&frequencies.full, rows);
        self.has_windowed = frequencies.windowed.is_some();
        if let Some(frequencies) = &frequencies.windowed {
            self.windowed.fill(frequencies, rows);
        }
    }

    /// Rotations in a block, which may have a sliding window.
    pub(super) fn in_block(&self, is_windowed: bool) -> &RopeTable {
        if is_windowed && self.has_windowed { &self.windowed } else { &self.full }
    }

    /// Rotations in blocks without a sliding window.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn full(&self) -> &RopeTable {
        &self.full
    }

    /// Rotations in blocks with a sliding window, where they differ.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn windowed(&self) -> Option<&RopeTable> {
        self.has_windowed.then_some(&self.windowed)
    }
}

/// Cosine and sine of each pair's angle for each row of a batch, times the magnitude.
#[derive(Debug, Default)]
pub(super) struct RopeTable {
    pairs: usize,
    /// `[row][pair]`.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RopeTable {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn fill(&mut self, frequencies: &PairFrequencies, rows: &[BatchRow]) {
        self.pairs = frequencies.pairs.len();
        self.cosines.clear();
        self.sines.clear();
        for row in rows {
            for frequency in &frequencies.pairs {
                let (sine, cosine) = (row.position as f64 * frequency).sin_cos();
                self.cosines.push((cosine * frequencies.magnitude) as f32);
                self.sines.push((sine * frequencies.magnitude) as f32);
            }
        }
    }

    /// Cosines and sines, `[row][pair]`.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn cosines_and_sines(&self) -> (&[f32], &[f32]) {
        (&self.cosines, &self.sines)
    }

    /// Rotates one head's values at a row's position.
    pub(super) fn rotate(&self, layout: RopeLayout, row: usize, head: &mut [f32]) {
        let cosines = &self.cosines[row * self.pairs..][..self.pairs];
        let sines = &self.sines[row * self.pairs..][..self.pairs];
        match layout {
            RopeLayout::Interleaved => {
                for ((pair, cosine), sine) in
                    head.as_chunks_mut::<2>().0.iter_mut().zip(cosines).zip(sines)
                {
                    let [a, b] = *pair;
                    *pair = [a * cosine - b * sine, a * sine + b * cosine];
                }
            }
            RopeLayout::NeoX => {
                let (first, second) = head[..2 * self.pairs].split_at_mut(self.pairs);
                for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines)
                {
                    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                }
            }
        }
    }
}
