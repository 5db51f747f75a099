//! How the vector was made.

use crate::page::number::number;
use crate::page::table::{Column, table};
use crate::vector_file::VectorFile;
use maud::{Markup, html};

pub(super) fn section(file: &VectorFile) -> Markup {
    let metadata = file.metadata();
    let row = |key: &str, value: Markup| vec![html! { (key) }, value];
    let mut rows = vec![
        row("method", html! { (metadata.method) }),
        row("weights, SHA-256", html! { code { (metadata.model.sha256) } }),
    ];
    rows.extend(metadata.settings.iter().map(|(key, value)| row(key, html! { (value) })));
    if let Some(calibration) = file.calibration(metadata.best_layer) {
        let text = html! {
            "mean " (number(calibration.mean, 3)) ", standard deviation "
            (number(calibration.standard_deviation, 3)) ", from " (calibration.count) " answers"
        };
        rows.push(row("benign answers", text));
    }
    html! {
        h2 { "How it was made" }
        (table(&[Column::Text("Setting"), Column::Text("Value")], &rows, None))
    }
}
