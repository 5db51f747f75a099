//! How the vector relates to other traits, and to the prompt.

use crate::page::number::{number, optional};
use crate::page::table::{Column, table};
use crate::vector_file::VectorFile;
use maud::{Markup, html};

/// How well the prompt predicts the answer.
pub(super) fn prediction(correlation: Option<(f64, f64)>) -> Markup {
    let Some((overall, within)) = correlation else { return html! {} };
    html! {
        h2 { "Prediction from the prompt" }
        p {
            "Correlation of the projection at the last prompt token with the log-likelihood ratio \
             of the answer: " (number(overall, 3)) " over all system prompts, "
            (number(within, 3)) " within each."
        }
    }
}

pub(super) fn section(
    file: &VectorFile,
    traits: &[String],
    cosines: &[f64],
    cross_auroc: &[(f64, f64)],
) -> Markup {
    if traits.is_empty() {
        return html! {};
    }
    let columns = [
        Column::Text("Trait"),
        Column::Number("Cosine at this layer"),
        Column::Number("AUROC on its answers"),
        Column::Number("rescored"),
    ];
    let rows: Vec<Vec<String>> = traits
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let (generated, rescored) = cross_auroc.get(index).copied().unzip();
            vec![
                name.clone(),
                optional(cosines.get(index).copied(), 3),
                optional(generated, 3),
                optional(rescored, 3),
            ]
        })
        .collect();
    let own = traits.iter().position(|name| name == file.trait_name());
    html! {
        h2 { "Other traits" }
        p {
            "Traits move together. A cosine near 1 means that this vector points where the other's \
             does; a high AUROC, that it reacts to the other trait too."
        }
        (table(&columns, &rows, own))
    }
}
