//! The vectors that the plugin measures and steers with.

use personaguard_terms::Layer;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Vectors at most.
pub const MAX_SLOTS: usize = 16;

/// A vector at a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The layer.
    pub layer: Layer,
    /// The vector as it is, not normalised.
    pub values: Arc<[f32]>,
}

/// Vectors in their order, and a number that only these have.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSet {
    /// The number.
    pub number: u64,
    /// Width of the residual stream.
    pub hidden: usize,
    /// The vectors.
    pub slots: Vec<Slot>,
}

impl VectorSet {
    /// These vectors, each once.
    #[must_use]
    pub fn new<'a>(hidden: usize, vectors: impl Iterator<Item = (Layer, &'a Arc<[f32]>)>) -> Self {
        let mut set = Self { number: 0, hidden, slots: Vec::new() };
        for (layer, values) in vectors {
            if set.slot_of(layer, values).is_none() {
                set.slots.push(Slot { layer, values: Arc::clone(values) });
            }
        }
        let mut hash = Sha256::new();
        for slot in &set.slots {
            hash.update(slot.layer.0.to_le_bytes());
            slot.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        let hash = hash.finalize();
        set.number = hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
        set
    }

    /// Which of them a vector is.
    #[must_use]
    pub fn slot_of(&self, layer: Layer, values: &[f32]) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.layer == layer && (std::ptr::eq(&*slot.values, values) || *slot.values == *values)
        })
    }
}
