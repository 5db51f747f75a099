//! Answers token by token.

use crate::page::number::number;
use crate::vector_file::VectorFile;
use maud::{Markup, html};

/// An answer with the projection of each of its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenScores {
    /// The question, and how it was asked.
    pub title: String,
    /// Tokens as text, with their projections.
    pub tokens: Vec<(String, f64)>,
}

pub(super) fn section(file: &VectorFile, answers: &[TokenScores]) -> Markup {
    if answers.is_empty() {
        return html! {};
    }
    // Colours are relative to benign answers: none at their mean, full at 4 sigma.
    let (centre, scale) = file.calibration(file.best_layer()).map_or((0.0, 1.0), |calibration| {
        (calibration.mean, 4.0 * calibration.standard_deviation.max(1e-9))
    });
    let background = |score: f64| {
        let strength = ((score - centre) / scale).clamp(-1.0, 1.0);
        let colour = if strength > 0.0 { "234,88,12" } else { "37,99,235" };
        format!("background:rgba({colour},{:.2})", strength.abs())
    };
    html! {
        h2 { "Token by token" }
        p {
            "Orange tokens lie further along the trait than benign answers, blue ones less far. \
             Hover over a token for its projection."
        }
        @for answer in answers {
            p { strong { (answer.title) } }
            p class="answer" {
                @for (text, score) in &answer.tokens {
                    span class="token" style=(background(*score)) title=(number(*score, 2)) {
                        (text)
                    }
                }
            }
        }
    }
}
