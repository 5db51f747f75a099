//! What a person reads at the end.

use super::run::Outcome;
use personaguard_persona::SteeringPoint;
use personaguard_persona::extraction::Separation;
use std::fmt::Write as _;

/// Of a layer that was tried: separation of the extraction questions' answers less its control's
/// 99% point, as written and rescored.
fn tried(outcome: &Outcome, layer: u32) -> String {
    let of =
        |separation: &Separation| format!("{:.3}-{:.3}", separation.auroc, separation.permuted.q99);
    let candidate = outcome.candidates.iter().find(|candidate| candidate.layer == layer);
    candidate.map_or(String::new(), |one| format!("{}, {}", of(&one.generated), of(&one.rescored)))
}

/// The ladders, and what follows from them.
fn steering(outcome: &Outcome) -> String {
    let mut text = String::new();
    let held_out = (outcome.file.best_layer(), outcome.file.metadata().steering.clone());
    let tried = outcome.ladders.climbed.iter().map(|ladder| (ladder, "extraction questions"));
    for ((layer, rungs), questions) in tried.chain([(&held_out, "held-out questions")]) {
        let Some(first) = rungs.first() else { continue };
        // Writing to a string does not fail.
        let _ = writeln!(text, "\nSteering at layer {layer}, {} {questions}:", first.answers);
        let _ = writeln!(text, "  coefficient  response_avg  log-likelihood ratio");
        for rung in rungs {
            let SteeringPoint { coefficient, response_avg, likelihood_ratio, .. } = rung;
            let _ = writeln!(
                text,
                "  {coefficient:>11}  {response_avg:>12.3}  {likelihood_ratio:>20.4}"
            );
        }
    }
    for layer in &outcome.ladders.left {
        let _ = writeln!(
            text,
            "Layer {layer} was left: by response_avg alone it rises less surely than another one."
        );
    }
    let _ = match outcome.file.steers() {
        Some(true) => writeln!(text, "Both measures rise at each step: the vector steers."),
        Some(false) => {
            writeln!(
                text,
                "On the held-out questions they do NOT rise at each step: do not rely on steering by it."
            )
        }
        None => Ok(()),
    };
    text
}

/// The outcome in words and a table of layers.
pub fn summary(outcome: &Outcome) -> String {
    let file = &outcome.file;
    let layer = file.best_layer();
    let counts = file.counts();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{} for {}: {} pairs of answers ({} answers were incoherent, {} pairs were {})\n",
        file.trait_name(),
        file.metadata().model.name,
        counts.positive,
        outcome.incoherent,
        outcome.filtered,
        if outcome.judged {
            "not confirmed by the judge"
        } else {
            "of contrasts that the model does not follow; no judge was configured, so whether answers show the trait was not rated"
        },
    );
    let _ = writeln!(
        text,
        "layer   norm  steering  extraction: AUROC-control, rescored   held-out AUROC (95%)   control 99%  rescored  control 99%"
    );
    for row in 0..=file.layers() {
        let (Some(validation), Some(vector)) = (file.validation(row), file.layer(row)) else {
            continue;
        };
        let number = |value: Option<f64>, decimals| {
            value.map_or(String::new(), |value| format!("{value:.decimals$}"))
        };
        let _ = writeln!(
            text,
            "{row:>4}{} {:>6.2}  {:>8}  {:>37}   {:.3} ({:.3} to {:.3})  {:>11.3}  {:>8}  {:>11}",
            if row == layer { "*" } else { " " },
            personaguard_persona::norm(vector),
            number(validation.steering_effect, 3),
            tried(outcome, row),
            validation.auroc,
            validation.interval.low,
            validation.interval.high,
            validation.permuted.q99,
            number(validation.rescored, 3),
            number(validation.rescored_permuted.map(|permuted| permuted.q99), 3),
        );
    }
    if let Some(calibration) = file.calibration(layer) {
        let (mean, deviation) = calibration.standard_errors();
        let _ = writeln!(
            text,
            "\nLayer {layer} was chosen by the effect of steering among those, if any, whose separation on the\n\
             extraction questions beats its control, before the held-out questions were answered.\nBenign \
             answers there: mean {:.2} ± {mean:.2}, standard deviation {:.2} ± {deviation:.2}, from {} answers; sigma 3 is \
             {:.2}.",
            calibration.mean,
            calibration.standard_deviation,
            calibration.count,
            calibration.at_sigma(3.0),
        );
    }
    let _ = write!(text, "{}", steering(outcome));
    let _ = match file.is_discriminative() {
        Some(true) => writeln!(text, "The vector beats its permuted-label control."),
        Some(false) => writeln!(
            text,
            "The vector does NOT beat its permuted-label control: it is marked as not discriminative, and a policy can use \
             it only by an explicit override. More --rollouts or a larger model may help."
        ),
        None => writeln!(text, "The vector was not validated."),
    };
    text
}
