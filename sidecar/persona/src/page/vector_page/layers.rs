//! How the layers compare.

use crate::linear::norm;
use crate::page::chart::{Line, lines};
use crate::page::number::{number, optional};
use crate::page::table::{Column, table};
use crate::vector_file::{LayerValidation, VectorFile};
use maud::{Markup, html};

pub(super) fn section(file: &VectorFile) -> Markup {
    let layers: Vec<(u32, &LayerValidation)> =
        (0..=file.layers()).filter_map(|layer| Some((layer, file.validation(layer)?))).collect();
    if layers.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Layers" }
        p {
            "Among the layers that beat their control on the extraction questions, the one with \
             the largest effect of steering was chosen, before the held-out questions were \
             answered. The control repeats the measurement with vectors from shuffled labels: what \
             lies below its line may be chance."
        }
        (separation_chart(file.best_layer(), &layers))
        (steering_chart(file.best_layer(), &layers))
        details { summary { "Numbers" } (numbers(file, &layers)) }
    }
}

fn separation_chart(best: u32, layers: &[(u32, &LayerValidation)]) -> Markup {
    let held_out = curve(layers, |layer| Some(layer.auroc));
    let control = curve(layers, |layer| Some(layer.permuted.q99));
    let rescored = curve(layers, |layer| layer.rescored);
    let rescored_control = curve(layers, |layer| layer.rescored_permuted.map(|it| it.q99));
    let line = |name, colour, dashed, points| Line { name, colour, dashed, points };
    lines(
        "AUROC on held-out questions, by layer",
        &[
            line("held out", "var(--pos)", false, held_out),
            line("its control, 99% quantile", "var(--pos)", true, control),
            line("under a neutral prompt", "var(--neg)", false, rescored),
            line("its control, 99% quantile", "var(--neg)", true, rescored_control),
        ],
        Some((0.4, 1.0)),
        Some(f64::from(best)),
    )
}

fn steering_chart(best: u32, layers: &[(u32, &LayerValidation)]) -> Markup {
    let effects = Line {
        name: "log-likelihood of trait-showing against trait-free answers",
        colour: "var(--ink)",
        dashed: false,
        points: curve(layers, |layer| layer.steering_effect),
    };
    lines(
        "Effect of steering in nats per token and unit of coefficient, by layer",
        &[effects],
        None,
        Some(f64::from(best)),
    )
}

/// The points (layer, value) of a curve, for the layers that have a value.
fn curve(
    layers: &[(u32, &LayerValidation)],
    value: fn(&LayerValidation) -> Option<f64>,
) -> Vec<(f64, f64)> {
    layers
        .iter()
        .filter_map(|(layer, validation)| Some((f64::from(*layer), value(validation)?)))
        .collect()
}

fn numbers(file: &VectorFile, layers: &[(u32, &LayerValidation)]) -> Markup {
    let columns = [
        Column::Number("Layer"),
        Column::Number("Norm"),
        Column::Number("Steering"),
        Column::Number("AUROC"),
        Column::Number("95% interval"),
        Column::Number("Control 99%"),
        Column::Number("Neutral prompt"),
        Column::Number("Control 99%"),
    ];
    let rows: Vec<Vec<String>> = layers
        .iter()
        .map(|(layer, validation)| {
            let interval = validation.interval;
            vec![
                layer.to_string(),
                optional(file.layer(*layer).map(norm), 2),
                optional(validation.steering_effect, 3),
                number(validation.auroc, 3),
                format!("{} to {}", number(interval.low, 3), number(interval.high, 3)),
                number(validation.permuted.q99, 3),
                optional(validation.rescored, 3),
                optional(validation.rescored_permuted.map(|permuted| permuted.q99), 3),
            ]
        })
        .collect();
    table(&columns, &rows, Some(file.best_layer() as usize))
}
