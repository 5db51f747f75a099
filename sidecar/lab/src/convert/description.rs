//! A vector file in words.

use personaguard_persona::{LayerMatrix, MadeOn, VectorFile, norm};
use std::fmt::{self, Write as _};

/// Describes a vector file with a SHA-256.
///
/// # Errors
/// Never: writing to a string does not fail.
pub(super) fn describe(file: &VectorFile, sha256: &str) -> Result<String, fmt::Error> {
    let metadata = file.metadata();
    let best = metadata.best_layer;
    let mut text = String::new();
    writeln!(text, "trait          {}", metadata.trait_name)?;
    writeln!(text, "description    {}", metadata.description)?;
    writeln!(text, "model          {}, SHA-256 {}", metadata.model.name, metadata.model.sha256)?;
    if let Some(MadeOn { engine, version, plugin, dtype, quantization, adapter }) =
        &metadata.made_on
    {
        write!(text, "made on        {engine} {version}, plugin {plugin}, {dtype}")?;
        for (what, name) in [("quantised as", quantization), ("with adapter", adapter)] {
            if let Some(name) = name {
                write!(text, ", {what} {name}")?;
            }
        }
        writeln!(text)?;
    }
    writeln!(text, "method         {}", metadata.method)?;
    let counts = metadata.counts;
    writeln!(text, "answers        {} positive, {} negative", counts.positive, counts.negative)?;
    writeln!(text, "shape          {} layers of {} values", file.layers(), file.hidden())?;
    writeln!(text, "layer          {best}, norm {:.4}", file.layer(best).map_or(0.0, norm))?;
    let zeros = layer_ranges(file.response_avg(), |vector| norm(vector) == 0.0);
    if !zeros.is_empty() {
        writeln!(text, "no vector at   layers {zeros}")?;
    }
    if let Some(validation) = file.validation(best) {
        writeln!(
            text,
            "held out       AUROC {:.3} ({:.3} to {:.3}), control 99% {:.3}",
            validation.auroc,
            validation.interval.low,
            validation.interval.high,
            validation.permuted.q99
        )?;
    }
    if let Some(calibration) = file.calibration(best) {
        writeln!(
            text,
            "benign         mean {:.4}, standard deviation {:.4}, from {} answers; sigma 3 is \
             {:.4}",
            calibration.mean,
            calibration.standard_deviation,
            calibration.count,
            calibration.at_sigma(3.0)
        )?;
    }
    let answer = |known: Option<bool>, unknown: &'static str| match known {
        Some(true) => "yes",
        Some(false) => "NO",
        None => unknown,
    };
    writeln!(text, "discriminative {}", answer(file.is_discriminative(), "not validated"))?;
    writeln!(text, "steers         {}", answer(file.steers(), "not measured"))?;
    for (key, value) in &metadata.settings {
        writeln!(text, "{key:<18} {value}")?;
    }
    writeln!(text, "SHA-256        {sha256}")?;
    Ok(text)
}

/// The layers whose vectors are of some kind, such as `2 to 4, 7`.
pub(super) fn layer_ranges(matrix: &LayerMatrix, is_one: impl Fn(&[f32]) -> bool) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for (layer, _) in (0..).zip(matrix.rows()).filter(|(_, row)| is_one(row)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == layer => *last = layer,
            _ => ranges.push((layer, layer)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}
