//! How the vector relates to other traits.

use crate::page::number::number;
use crate::page::table::{Column, table};
use crate::vector_file::VectorFile;
use maud::{Markup, html};

/// How a vector relates to one trait.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitComparison {
    /// Name of the trait.
    pub name: String,
    /// Cosine of the vector with that trait's vector at the same layer, −1 to 1.
    pub cosine: f64,
    /// AUROC of the vector on that trait's held-out answers as generated, 0 to 1.
    pub auroc: f64,
    /// AUROC on the same answers, rescored under a neutral system prompt.
    pub rescored_auroc: f64,
}

pub(super) fn section(file: &VectorFile, traits: &[TraitComparison]) -> Markup {
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
        .map(|other| {
            vec![
                other.name.clone(),
                number(other.cosine, 3),
                number(other.auroc, 3),
                number(other.rescored_auroc, 3),
            ]
        })
        .collect();
    let own = traits.iter().position(|other| other.name == file.trait_name());
    html! {
        h2 { "Other traits" }
        p {
            "Traits move together. A cosine near 1 means that this vector points where the other's \
             does; a high AUROC, that it reacts to the other trait too."
        }
        (table(&columns, &rows, own))
    }
}
