//! From the activations of contrasted responses to persona vectors that are validated: all that
//! needs no model.

mod coherence;
mod cross_fit;
mod judged;
mod pairs;
mod validate;

pub use coherence::{Incoherence, incoherence};
pub use cross_fit::{Candidate, CrossFit, Separation, followed, prefer_layers, separation};
pub use judged::{Verdict, expected_score};
pub use pairs::{Pair, Sample, SampleKey, mean_difference, pair_up};
pub use validate::{ValidationInput, validate};

/// How vectors are made here, as it stands in the file.
pub const METHOD: &str = "mean-difference/response-avg";
