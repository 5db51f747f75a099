//! What steering does to answers.

use crate::dose_response::{SteeringPoint, is_monotonic};
use crate::page::number::number;
use crate::page::table::{Column, table};
use maud::{Markup, html};

/// A point of a dose response, with an example.
#[derive(Clone, Debug, PartialEq)]
pub struct SteeringExample {
    /// The point.
    pub point: SteeringPoint,
    /// A question.
    pub question: String,
    /// The answer to it under this coefficient.
    pub answer: String,
}

pub(super) fn section(steering: &[SteeringExample]) -> Markup {
    let Some(first) = steering.first() else { return html! {} };
    let columns = [
        Column::Number("Coefficient"),
        Column::Number("Mean projection"),
        Column::Number("Log-likelihood ratio"),
        Column::Text("Answer"),
    ];
    let rows: Vec<Vec<String>> = steering
        .iter()
        .map(|SteeringExample { point, answer, .. }| {
            vec![
                number(point.coefficient, 1),
                number(point.response_avg, 2),
                number(point.likelihood_ratio, 3),
                answer.clone(),
            ]
        })
        .collect();
    let points: Vec<SteeringPoint> = steering.iter().map(|steered| steered.point).collect();
    html! {
        h2 { "Steering" }
        p {
            "Answers to " (first.point.answers) " held-out questions were written while the \
             vector, times a coefficient, was added to the activations; then the unsteered model \
             read them under a neutral system prompt. The log-likelihood ratio does not depend on \
             the vector: it is how much likelier an answer is under a system prompt that asks for \
             the trait than under one that asks for its absence, in nats per token. The last \
             column answers: " (first.question)
        }
        @match is_monotonic(&points) {
            Some(true) => p class="good" { "Both measures rise at each step." }
            Some(false) => p class="bad" {
                "They do not rise at each step: do not rely on steering by this vector."
            }
            None => {}
        }
        (table(&columns, &rows, None))
    }
}
