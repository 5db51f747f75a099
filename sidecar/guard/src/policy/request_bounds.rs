//! What a request may ask for.

use std::ops::RangeInclusive;

/// What a request may ask for about a trait: stricter enforcement, or a steering coefficient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestBounds {
    /// To have the trait blocked at its threshold.
    pub block: bool,
    /// A stricter threshold.
    pub threshold: bool,
    /// A steering coefficient in this range.
    pub coefficient: Option<RangeInclusive<f64>>,
}
