//! How well the prompt predicts the answer.

use crate::page::number::number;
use maud::{Markup, html};

/// Correlation of `prompt_last`, the projection at the last prompt token, with the log-likelihood
/// ratio of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptCorrelation {
    /// Pearson's r over all system prompts.
    pub overall: f64,
    /// Pearson's r within system prompts.
    pub within: f64,
}

pub(super) fn section(correlation: Option<PromptCorrelation>) -> Markup {
    let Some(PromptCorrelation { overall, within }) = correlation else { return html! {} };
    html! {
        h2 { "Prediction from the prompt" }
        p {
            "Correlation of the projection at the last prompt token with the log-likelihood ratio \
             of the answer: " (number(overall, 3)) " over all system prompts, "
            (number(within, 3)) " within each."
        }
    }
}
