//! Charts as inline SVG.

mod histograms;
mod lines;
mod plane;

pub(super) use histograms::{Histogram, Mark, histograms};
pub(super) use lines::{Line, lines};
