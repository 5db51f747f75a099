//! What a person reads at the end.

use super::run::Outcome;
use std::fmt::Write as _;

/// The outcome in words and a table of layers.
pub fn summary(outcome: &Outcome) -> String {
    let file = &outcome.file;
    let layer = file.best_layer();
    let counts = file.counts();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{} for {}: {} pairs of answers ({} more were incoherent, {} indistinct; no judge was configured, so whether an \
         answer shows the trait was decided by separation)\n",
        file.trait_name(),
        file.metadata().model.name,
        counts.positive,
        outcome.incoherent,
        outcome.unseparated,
    );
    let _ =
        writeln!(text, "layer   norm  steering  extraction  held-out AUROC (95%)   control 99%  rescored  control 99%");
    for row in 0..=file.layers() {
        let (Some(validation), Some(vector)) = (file.validation(row), file.layer(row)) else {
            continue;
        };
        let number = |value: Option<f64>, decimals| value.map_or(String::new(), |value| format!("{value:.decimals$}"));
        let _ = writeln!(
            text,
            "{row:>4}{} {:>6.2}  {:>8}  {:>10.3}  {:.3} ({:.3} to {:.3})  {:>11.3}  {:>8}  {:>11}",
            if row == layer { "*" } else { " " },
            personaguard_persona::norm(vector),
            number(validation.steering_effect, 3),
            outcome.separation.get(row as usize).copied().unwrap_or(f64::NAN),
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
            "\nLayer {layer} was chosen by the effect of steering, before the held-out questions were answered.\nBenign \
             answers there: mean {:.2} ± {mean:.2}, standard deviation {:.2} ± {deviation:.2}, from {} answers; sigma 3 is \
             {:.2}.",
            calibration.mean,
            calibration.standard_deviation,
            calibration.count,
            calibration.sigma(3.0),
        );
    }
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
