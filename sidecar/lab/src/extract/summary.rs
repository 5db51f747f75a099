//! What a person reads at the end of an extraction.

use super::run::Outcome;
use personaguard_persona::extraction::Separation;
use personaguard_persona::{SteeringPoint, VectorFile, norm};
use std::fmt::{self, Write as _};

/// The outcome in words, with tables of layers and of dose responses.
///
/// # Errors
/// Never: writing to a string does not fail.
pub(super) fn summary(outcome: &Outcome) -> Result<String, fmt::Error> {
    let file = &outcome.file;
    let mut text = String::new();
    let dropped = if outcome.judged {
        "not confirmed by the judge"
    } else {
        "of contrasts that the model does not follow; no judge was configured, so whether answers \
         show the trait was not rated"
    };
    writeln!(
        text,
        "\n{} for {}: {} pairs of answers ({} answers were incoherent, {} pairs were {dropped})\n",
        file.trait_name(),
        file.metadata().model.name,
        file.counts().positive,
        outcome.incoherent,
        outcome.filtered,
    )?;
    layers(&mut text, outcome)?;
    calibration(&mut text, file)?;
    steering(&mut text, outcome)?;
    match file.is_discriminative() {
        Some(true) => writeln!(text, "The vector beats its permuted-label control.")?,
        Some(false) => writeln!(
            text,
            "The vector does NOT beat its permuted-label control: it is marked as not \
             discriminative, and a\npolicy can use it only with an explicit override. More \
             --rollouts or a larger model may help."
        )?,
        None => writeln!(text, "The vector was not validated.")?,
    }
    Ok(text)
}

fn layers(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let file = &outcome.file;
    writeln!(
        text,
        "layer   norm  steering  extraction: AUROC-control, rescored   held-out AUROC (95%)   \
         control 99%  rescored  control 99%"
    )?;
    let number = |value: Option<f64>, decimals| {
        value.map_or(String::new(), |value| format!("{value:.decimals$}"))
    };
    for layer in 0..=file.layers() {
        let (Some(validation), Some(vector)) = (file.validation(layer), file.layer(layer)) else {
            continue;
        };
        writeln!(
            text,
            "{layer:>4}{} {:>6.2}  {:>8}  {:>37}   {:.3} ({:.3} to {:.3})  {:>11.3}  {:>8}  {:>11}",
            if layer == file.best_layer() { "*" } else { " " },
            norm(vector),
            number(validation.steering_effect, 3),
            separations(outcome, layer),
            validation.auroc,
            validation.interval.low,
            validation.interval.high,
            validation.permuted.q99,
            number(validation.rescored, 3),
            number(validation.rescored_permuted.map(|permuted| permuted.q99), 3),
        )?;
    }
    Ok(())
}

/// The separations of a layer that was tried, as AUROC-control: as generated, and rescored.
fn separations(outcome: &Outcome, layer: u32) -> String {
    let pair =
        |separation: &Separation| format!("{:.3}-{:.3}", separation.auroc, separation.permuted.q99);
    let tried = outcome.candidates.iter().find(|candidate| candidate.layer == layer);
    tried.map_or(String::new(), |tried| {
        format!("{}, {}", pair(&tried.generated), pair(&tried.rescored))
    })
}

fn calibration(text: &mut String, file: &VectorFile) -> fmt::Result {
    let layer = file.best_layer();
    let Some(calibration) = file.calibration(layer) else { return Ok(()) };
    let (mean, deviation) = calibration.standard_errors();
    writeln!(
        text,
        "\nLayer {layer} was chosen by the effect of steering, among the layers (if any) whose \
         separation on the\nextraction questions beats its control, before the held-out questions \
         were answered.\nBenign answers there: mean {:.2} ± {mean:.2}, standard deviation {:.2} ± \
         {deviation:.2}, from {} answers; sigma 3 is {:.2}.",
        calibration.mean,
        calibration.standard_deviation,
        calibration.count,
        calibration.at_sigma(3.0),
    )
}

fn steering(text: &mut String, outcome: &Outcome) -> fmt::Result {
    for (layer, points) in &outcome.dose_responses.measured {
        dose_response(text, *layer, points, "extraction")?;
    }
    let best = outcome.file.best_layer();
    dose_response(text, best, outcome.file.steering(best), "held-out")?;
    for layer in &outcome.dose_responses.abandoned {
        writeln!(
            text,
            "Layer {layer} was abandoned: by response_avg alone, it rises less surely than another \
             one."
        )?;
    }
    match outcome.file.steers() {
        Some(true) => writeln!(text, "Both measures rise at each step: the vector steers."),
        Some(false) => writeln!(
            text,
            "On the held-out questions they do NOT rise at each step: do not rely on steering by \
             it."
        ),
        None => Ok(()),
    }
}

fn dose_response(
    text: &mut String,
    layer: u32,
    points: &[SteeringPoint],
    questions: &str,
) -> fmt::Result {
    let Some(first) = points.first() else { return Ok(()) };
    writeln!(text, "\nSteering at layer {layer}, {} {questions} questions:", first.answers)?;
    writeln!(text, "  coefficient  response_avg  log-likelihood ratio")?;
    for point in points {
        let SteeringPoint { coefficient, response_avg, likelihood_ratio, .. } = point;
        writeln!(text, "  {coefficient:>11}  {response_avg:>12.3}  {likelihood_ratio:>20.4}")?;
    }
    Ok(())
}
