//! Rotary position embedding.

use super::Place;
use crate::config::{Pairs, Rope};

/// Rotation of each pair, in radians a position, and what it multiplies lengths by.
#[derive(Debug)]
pub(super) struct Frequencies {
    pairs: Vec<f64>,
    magnitude: f64,
}

impl Frequencies {
    /// base^(−2i / width), divided by the stretch and by each pair's factor, those of the weights
    /// before those of the description.
    pub(super) fn new(rope: &Rope, of_weights: Option<&[f32]>) -> Self {
        let factors = of_weights.or(rope.factors.as_deref());
        #[allow(clippy::cast_precision_loss)]
        let frequency = |pair: usize| {
            let factor = factors
                .and_then(|factors| factors.get(pair))
                .map_or(1.0, |&factor| f64::from(factor));
            rope.base.powf(-2.0 * pair as f64 / rope.width as f64) / rope.stretch / factor
        };
        Self {
            pairs: (0..rope.width / 2).map(frequency).collect(),
            magnitude: f64::from(rope.magnitude),
        }
    }
}

/// Cosine and sine of each pair's angle for each row of a batch, times the magnitude.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    pairs: usize,
    /// `[row][pair]`.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotation {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub(super) fn fill(&mut self, frequencies: &Frequencies, places: &[Place]) {
        self.pairs = frequencies.pairs.len();
        self.cosines.clear();
        self.sines.clear();
        for place in places {
            for frequency in &frequencies.pairs {
                let (sine, cosine) = (place.position as f64 * frequency).sin_cos();
                self.cosines.push((cosine * frequencies.magnitude) as f32);
                self.sines.push((sine * frequencies.magnitude) as f32);
            }
        }
    }

    /// Cosines and sines, `[row][pair]`.
    #[cfg(any(test, feature = "cuda"))]
    pub(super) fn tables(&self) -> (&[f32], &[f32]) {
        (&self.cosines, &self.sines)
    }

    /// Rotates one head's values at a row's position.
    pub(super) fn rotate(&self, kind: Pairs, row: usize, head: &mut [f32]) {
        let cosines = &self.cosines[row * self.pairs..][..self.pairs];
        let sines = &self.sines[row * self.pairs..][..self.pairs];
        match kind {
            Pairs::Neighbours => {
                for ((pair, cosine), sine) in
                    head.as_chunks_mut::<2>().0.iter_mut().zip(cosines).zip(sines)
                {
                    let [a, b] = *pair;
                    *pair = [a * cosine - b * sine, a * sine + b * cosine];
                }
            }
            Pairs::Halves => {
                let (first, second) = head[..2 * self.pairs].split_at_mut(self.pairs);
                for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines)
                {
                    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                }
            }
        }
    }
}
