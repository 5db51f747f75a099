//! What it takes to extract a trait: contrastive system prompts, questions, and a rubric for a
//! judge.

mod benign;
mod builtin;
mod contrast;
mod draft;
mod error;
mod paper;
mod spec;

pub use benign::BenignPrompts;
pub use contrast::{Contrast, Polarity};
pub use draft::{DraftPart, TraitDraft};
pub use error::TraitSpecError;
pub use spec::TraitSpec;
