//! Distribution of the scores of held-out answers.

use crate::page::chart::{Histogram, Mark, histograms};
use crate::vector_file::VectorFile;
use maud::{Markup, html};

pub(super) fn section(file: &VectorFile, (positive, negative): (&[f64], &[f64])) -> Markup {
    if positive.is_empty() || negative.is_empty() {
        return html! {};
    }
    let threshold =
        file.calibration(file.best_layer()).map(|calibration| calibration.at_sigma(3.0));
    let marks: Vec<Mark<'_>> =
        threshold.map(|at| Mark { name: "sigma 3", at }).into_iter().collect();
    let chart = histograms(
        "Mean projection over response tokens",
        [
            Histogram { name: "asked to show the trait", colour: "var(--pos)", values: positive },
            Histogram { name: "asked not to", colour: "var(--neg)", values: negative },
        ],
        &marks,
    );
    let beyond = |scores: &[f64], threshold: f64| {
        let beyond = scores.iter().filter(|score| **score > threshold).count();
        format!("{beyond} of {}", scores.len())
    };
    html! {
        h2 { "Scores of held-out answers" }
        (chart)
        @if let Some(threshold) = threshold {
            p {
                "Past the threshold of 3 sigma over benign answers: " (beyond(positive, threshold))
                " that were asked to show the trait, " (beyond(negative, threshold))
                " that were asked not to."
            }
        }
    }
}
