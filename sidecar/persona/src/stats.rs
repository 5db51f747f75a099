//! Statistics of scores: moments and quantiles, separation of two classes with its uncertainty and
//! its control, and correlation.

mod correlation;
mod interval;
mod permutation;
mod proportion;
mod roc;
mod summary;

pub use correlation::{pearson, pearson_within};
pub use interval::Interval;
pub use permutation::{LabelledActivation, PairedDifferences, PermutedControl};
pub use proportion::wilson_interval;
pub use roc::{LabelledScore, auroc, auroc_interval};
pub(crate) use summary::round;
pub use summary::{mean, quantile, standard_deviation, standard_error};
