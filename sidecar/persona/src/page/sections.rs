//! The parts of a page.

use super::chart::{Line, histograms, lines};
use super::html::{escape, table};
use super::{TokenScores, VectorPage};
use crate::linear::norm;
use crate::{Rung, rises};

fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}").replace('-', "−")
    } else {
        "–".to_owned()
    }
}

fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| number(value, decimals))
}

pub(super) fn summary(page: &VectorPage<'_>) -> String {
    let file = page.file;
    let (verdict, class) = match file.is_discriminative() {
        Some(true) => (
            "It tells answers that show the trait from answers that do not better than chance vectors do.",
            "good",
        ),
        Some(false) => ("It does not beat its permuted-label control: do not rely on it.", "bad"),
        None => ("It has not been validated.", "bad"),
    };
    let counts = file.counts();
    format!(
        "<h1>{}</h1><p>{}</p><p class=\"{class}\">{verdict}</p><p class=\"soft\">Persona vector of {}, layer {} of {}, from {} \
         answers that were to show the trait and {} that were not.</p>\n",
        escape(file.trait_name()),
        escape(&file.metadata().description),
        escape(&file.metadata().model.name),
        file.best_layer(),
        file.layers(),
        counts.positive,
        counts.negative,
    )
}

pub(super) fn layers(page: &VectorPage<'_>) -> String {
    let file = page.file;
    let all = || (0..=file.layers()).filter_map(|layer| Some((layer, file.validation(layer)?)));
    if all().next().is_none() {
        return String::new();
    }
    let curve = |value: &dyn Fn(&crate::LayerValidation) -> Option<f64>| {
        all()
            .filter_map(|(layer, validation)| Some((f64::from(layer), value(validation)?)))
            .collect::<Vec<_>>()
    };
    let line = |name, colour, dashed, points| Line { name, colour, dashed, points };
    let separation = lines(
        "AUROC on held-out questions, by layer",
        &[
            line("held out", "var(--pos)", false, curve(&|v| Some(v.auroc))),
            line("its control, 99% point", "var(--pos)", true, curve(&|v| Some(v.permuted.q99))),
            line("under a neutral prompt", "var(--neg)", false, curve(&|v| v.rescored)),
            line(
                "its control, 99% point",
                "var(--neg)",
                true,
                curve(&|v| v.rescored_permuted.map(|p| p.q99)),
            ),
        ],
        Some((0.4, 1.0)),
        Some(f64::from(file.best_layer())),
    );
    let steering = lines(
        "Effect of steering, nats per token and unit of coefficient, by layer",
        &[line(
            "log-likelihood of trait-showing against trait-free answers",
            "var(--ink)",
            false,
            curve(&|v| v.steering_effect),
        )],
        None,
        Some(f64::from(file.best_layer())),
    );
    let rows: Vec<Vec<String>> = all()
        .map(|(layer, v)| {
            vec![
                layer.to_string(),
                optional(file.layer(layer).map(norm), 2),
                optional(v.steering_effect, 3),
                number(v.auroc, 3),
                format!("{} to {}", number(v.interval.low, 3), number(v.interval.high, 3)),
                number(v.permuted.q99, 3),
                optional(v.rescored, 3),
                optional(v.rescored_permuted.map(|p| p.q99), 3),
            ]
        })
        .collect();
    let header = [
        "Layer",
        "Norm",
        "Steering",
        "AUROC",
        "95% interval",
        "Control 99%",
        "Neutral prompt",
        "Control 99%",
    ];
    format!(
        "<h2>Layers</h2><p>The layer was chosen by the effect of steering among those that beat their control on the extraction \
         questions, before the held-out questions were answered. The control repeats the measurement with vectors from shuffled labels: what lies below its \
         line may be chance.</p>{separation}{steering}<details><summary>Numbers</summary>{}</details>",
        table(&header, &rows, Some(file.best_layer() as usize))
    )
}

pub(super) fn held_out(page: &VectorPage<'_>) -> String {
    let (positive, negative) = page.held_out;
    if positive.is_empty() || negative.is_empty() {
        return String::new();
    }
    let calibration = page.file.calibration(page.file.best_layer());
    let threshold = calibration.map(|calibration| calibration.sigma(3.0));
    let marks: Vec<(f64, &str)> = threshold.map(|at| (at, "sigma 3")).into_iter().collect();
    let past = |scores: &[f64]| {
        threshold.map_or_else(String::new, |at| {
            format!("{} of {}", scores.iter().filter(|score| **score > at).count(), scores.len())
        })
    };
    format!(
        "<h2>Scores of held-out answers</h2>{}<p>Past the threshold of 3 sigma over benign answers: {} that were to show the \
         trait, {} that were not.</p>",
        histograms(
            "Mean projection over response tokens",
            [
                ("asked to show the trait", "var(--pos)", positive),
                ("asked not to", "var(--neg)", negative)
            ],
            &marks
        ),
        past(positive),
        past(negative),
    )
}

pub(super) fn steering(page: &VectorPage<'_>) -> String {
    if page.steering.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = page
        .steering
        .iter()
        .map(|steered| {
            vec![
                number(steered.rung.coefficient, 1),
                number(steered.rung.response_avg, 2),
                number(steered.rung.likelihood_ratio, 3),
                format!(
                    "<span style=\"display:block;text-align:left\">{}</span>",
                    escape(&steered.example.1)
                ),
            ]
        })
        .collect();
    let rungs: Vec<Rung> = page.steering.iter().map(|steered| steered.rung).collect();
    let verdict = match rises(&rungs) {
        Some(true) => "<p class=\"good\">Both measures rise at each step.</p>",
        Some(false) => {
            "<p class=\"bad\">They do not rise at each step: do not rely on steering by this vector.</p>"
        }
        None => "",
    };
    format!(
        "<h2>Steering</h2><p>Answers to {} held-out questions were written while the vector, times a coefficient, was added to the activations; then \
         the unsteered model read them under a neutral system prompt. The log-likelihood ratio owes nothing to the vector: how much likelier \
         an answer is under a system prompt that asks for the trait than under one that asks for its absence, nats per token. The last \
         column answers: {}</p>{verdict}{}",
        page.steering[0].rung.answers,
        escape(&page.steering[0].example.0),
        table(&["Coefficient", "Mean projection", "Log-likelihood ratio", "Answer"], &rows, None)
    )
}

pub(super) fn answers(page: &VectorPage<'_>) -> String {
    if page.answers.is_empty() {
        return String::new();
    }
    // Colours are relative to benign answers: white at their mean, full at 4 sigma.
    let (centre, scale) =
        page.file.calibration(page.file.best_layer()).map_or((0.0, 1.0), |calibration| {
            (calibration.mean, 4.0 * calibration.standard_deviation.max(1e-9))
        });
    let heat = |answer: &TokenScores| -> String {
        let tokens: String = answer
            .tokens
            .iter()
            .map(|(text, score)| {
                let strength = ((score - centre) / scale).clamp(-1.0, 1.0);
                let colour = if strength > 0.0 { "234,88,12" } else { "37,99,235" };
                format!(
                    "<span class=\"token\" style=\"background:rgba({colour},{:.2})\" title=\"{}\">{}</span>",
                    strength.abs(),
                    number(*score, 2),
                    escape(text)
                )
            })
            .collect();
        format!("<p><strong>{}</strong></p><p class=\"answer\">{tokens}</p>", escape(&answer.title))
    };
    format!(
        "<h2>Token by token</h2><p>Orange tokens lie further along the trait than benign answers, blue ones less far. Hover \
         over a token for its projection.</p>{}",
        page.answers.iter().map(heat).collect::<String>()
    )
}

pub(super) fn others(page: &VectorPage<'_>) -> String {
    let monitoring = page.monitoring.map_or_else(String::new, |(overall, within)| {
        format!(
            "<h2>Foretelling</h2><p>Correlation of the projection at the last prompt token with what the answer then was: \
             {} over all system prompts, {} within one.</p>",
            number(overall, 3),
            number(within, 3)
        )
    });
    if page.traits.is_empty() {
        return monitoring;
    }
    let at = |values: &[f64], index: usize| optional(values.get(index).copied(), 3);
    let rows: Vec<Vec<String>> = page
        .traits
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let (written, rescored) = page.cross_auroc.get(index).copied().unzip();
            vec![escape(name), at(page.cosines, index), optional(written, 3), optional(rescored, 3)]
        })
        .collect();
    let chosen = page.traits.iter().position(|name| name == page.file.trait_name());
    format!(
        "{monitoring}<h2>Other traits</h2><p>Traits move together. A cosine near 1 means that this vector points where the \
         other's does; a high AUROC, that it reacts to the other trait too.</p>{}",
        table(
            &["Trait", "Cosine at this layer", "AUROC on its answers", "rescored"],
            &rows,
            chosen
        )
    )
}

pub(super) fn origin(page: &VectorPage<'_>) -> String {
    let metadata = page.file.metadata();
    let mut rows = vec![
        vec!["method".to_owned(), escape(&metadata.method)],
        vec![
            "weights, SHA-256".to_owned(),
            format!("<code>{}</code>", escape(&metadata.model.sha256)),
        ],
    ];
    rows.extend(metadata.settings.iter().map(|(key, value)| vec![escape(key), escape(value)]));
    if let Some(calibration) = page.file.calibration(metadata.best_layer) {
        let text = format!(
            "mean {}, standard deviation {}, from {} answers",
            number(calibration.mean, 3),
            number(calibration.standard_deviation, 3),
            calibration.count
        );
        rows.push(vec!["benign answers".to_owned(), text]);
    }
    format!("<h2>Where it comes from</h2>{}", table(&["Setting", "Value"], &rows, None))
}
