//! Rotary position embedding.

use super::Place;
use crate::config::{Pairs, Rope};

/// Rotation of each pair, in radians a position.
#[derive(Debug)]
pub(super) struct Frequencies(Vec<f64>);

impl Frequencies {
    /// base^(−2i / width), divided by the stretch and, where there are such, by each pair's factor.
    pub(super) fn new(rope: &Rope, base: f64, stretch: f64, factors: Option<&[f32]>) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let frequency = |pair: usize| {
            let factor = factors.and_then(|factors| factors.get(pair)).map_or(1.0, |&factor| f64::from(factor));
            base.powf(-2.0 * pair as f64 / rope.width as f64) / stretch / factor
        };
        Self((0..rope.width / 2).map(frequency).collect())
    }
}

/// Cosine and sine of each pair's angle for each row of a batch.
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
        self.pairs = frequencies.0.len();
        self.cosines.clear();
        self.sines.clear();
        for place in places {
            for frequency in &frequencies.0 {
                let (sine, cosine) = (place.position as f64 * frequency).sin_cos();
                self.cosines.push(cosine as f32);
                self.sines.push(sine as f32);
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
                for ((pair, cosine), sine) in head.as_chunks_mut::<2>().0.iter_mut().zip(cosines).zip(sines) {
                    let [a, b] = *pair;
                    *pair = [a * cosine - b * sine, a * sine + b * cosine];
                }
            }
            Pairs::Halves => {
                let (first, second) = head[..2 * self.pairs].split_at_mut(self.pairs);
                for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                    (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                }
            }
        }
    }
}
