//! Reproducible random numbers: the same seed gives the same numbers in every version.
//!
//! The generator is ChaCha12. Integers and reals are derived from its bits here, because `rand` may
//! change its distributions between versions.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct RandomStream(ChaCha12Rng);

impl RandomStream {
    /// The stream of `seed` for one purpose. Streams with the same seed and different labels are
    /// independent.
    #[must_use]
    pub fn new(seed: u64, label: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        rng.set_stream(label);
        Self(rng)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// An integer, uniform in `0..n` with a bias below n / 2⁶⁴; 0 for n = 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A real number, uniform in the open interval (0, 1), so that its logarithm is finite.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// +1 or −1, with equal probability.
    pub fn sign(&mut self) -> f64 {
        if self.bits() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// A standard normal number (Box–Muller transform).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests;
