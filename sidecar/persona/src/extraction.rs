//! From the activations of contrasted responses to validated persona vectors: every step that needs
//! no model.

mod coherence;
mod cross_fit;
#[cfg(test)]
mod fixtures;
mod followed;
mod judgement;
mod layer_choice;
mod pairs;
mod validation;

pub use coherence::{Incoherence, incoherence};
pub use cross_fit::{CrossFit, Separation, separation};
pub use followed::followed_contrasts;
pub use judgement::{Judgement, expected_score};
pub use layer_choice::{LayerCandidate, rank_layers};
pub use pairs::{Pair, Sample, SampleKey, mean_difference, pair_up};
pub use validation::{ValidationInput, validate_layer};

/// How this crate makes vectors, as [`VectorMetadata::method`](crate::VectorMetadata) records it.
pub const METHOD: &str = "mean-difference/response-avg";
