//! Self-contained HTML pages: no script, font or picture from elsewhere, and the numbers of every
//! chart beside it.
//!
//! Pages are [`maud`] templates, which escape all text. Text from models, data sets and files is
//! never markup.

mod chart;
mod document;
mod number;
mod screening_page;
mod table;
mod vector_page;

pub use screening_page::ScreeningPage;
pub use vector_page::{
    PromptCorrelation, SteeringExample, TokenScores, TraitComparison, VectorPage,
};
