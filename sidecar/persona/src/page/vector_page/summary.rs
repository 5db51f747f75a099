//! What the vector is, and whether it can be relied on.

use crate::vector_file::VectorFile;
use maud::{Markup, html};

pub(super) fn section(file: &VectorFile) -> Markup {
    let (verdict, class) = match file.is_discriminative() {
        Some(true) => (
            "It tells answers that show the trait from answers that do not better than chance \
             vectors do.",
            "good",
        ),
        Some(false) => ("It does not beat its permuted-label control: do not rely on it.", "bad"),
        None => ("It has not been validated.", "bad"),
    };
    let counts = file.counts();
    html! {
        h1 { (file.trait_name()) }
        p { (file.metadata().description) }
        p class=(class) { (verdict) }
        p class="soft" {
            "Persona vector of " (file.metadata().model.name) ", layer " (file.best_layer()) " of "
            (file.layers()) ", from " (counts.positive)
            " answers that were asked to show the trait and " (counts.negative)
            " that were asked not to."
        }
    }
}
