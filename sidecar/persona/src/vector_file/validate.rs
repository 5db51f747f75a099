//! Checks of a vector file's content, which may come from anyone.

use super::error::VectorFileError;
use super::limits::{
    MAX_DESCRIPTION_CHARS, MAX_HIDDEN, MAX_LAYERS, MAX_SETTINGS, MAX_STEERING_POINTS,
    MAX_TEXT_CHARS,
};
use super::metadata::{LayerValidation, VectorMetadata};
use crate::dose_response::SteeringPoint;
use crate::f32_tensors::check_finite;
use crate::layer_matrix::LayerMatrix;

/// Checks the shape `[rows, hidden]` of a tensor.
pub(super) fn check_shape(
    name: &'static str,
    rows: usize,
    hidden: usize,
) -> Result<(), VectorFileError> {
    let fail = |problem: String| Err(VectorFileError::Tensor { name, problem });
    if !(1..=MAX_HIDDEN).contains(&hidden) {
        return fail(format!("has rows of {hidden} values; 1 to {MAX_HIDDEN} are allowed"));
    }
    if !(2..=MAX_LAYERS + 1).contains(&rows) {
        return fail(format!(
            "has {rows} rows; an embedding row and 1 to {MAX_LAYERS} layers are allowed"
        ));
    }
    Ok(())
}

/// Checks the shape and the values of a tensor.
pub(super) fn check_matrix(
    name: &'static str,
    matrix: &LayerMatrix,
) -> Result<(), VectorFileError> {
    check_shape(name, matrix.layers() as usize + 1, matrix.hidden())?;
    check_finite(matrix.values()).map_err(|problem| VectorFileError::Tensor { name, problem })
}

/// Checks the metadata of vectors of a model with `layers` layers.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn check_metadata(metadata: &VectorMetadata, layers: u32) -> Result<(), String> {
    if metadata.format != VectorMetadata::FORMAT {
        return Err(format!(
            "format is {:?}; only {:?} can be read",
            excerpt(&metadata.format),
            VectorMetadata::FORMAT
        ));
    }
    if !is_dns_label(&metadata.trait_name) {
        return Err(format!(
            "trait {:?} is not a DNS label: 1 to 63 of a-z, 0-9 and -, starting and ending with a \
             letter or digit",
            excerpt(&metadata.trait_name)
        ));
    }
    let digest = &metadata.model.sha256;
    if digest.len() != 64 || !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("model.sha256 is not 64 lower-case hexadecimal digits".to_owned());
    }
    check_texts(metadata)?;
    if !(1..=layers).contains(&metadata.best_layer) {
        return Err(format!(
            "bestLayer is {}, and the model has layers 1 to {layers}",
            metadata.best_layer
        ));
    }
    let rows = layers as usize + 1;
    for (field, entries) in
        [("validation", metadata.validation.len()), ("calibration", metadata.calibration.len())]
    {
        if entries != 0 && entries != rows {
            return Err(format!(
                "{field} has {entries} entries, not one for each of {rows} layers"
            ));
        }
    }
    let steering = &metadata.steering;
    if steering.len() > MAX_STEERING_POINTS || !steering.iter().all(SteeringPoint::is_valid) {
        return Err(format!(
            "steering has more than {MAX_STEERING_POINTS} points, or numbers that are not finite"
        ));
    }
    let invalid = metadata.calibration.iter().position(|calibration| !calibration.is_valid());
    if let Some(layer) = invalid {
        return Err(format!("the calibration of layer {layer} is not a distribution"));
    }
    let invalid = metadata.validation.iter().position(|validation| !is_valid(validation));
    if let Some(layer) = invalid {
        return Err(format!("the validation of layer {layer} has an AUROC outside 0 to 1"));
    }
    Ok(())
}

fn check_texts(metadata: &VectorMetadata) -> Result<(), String> {
    let texts = [
        ("description", &metadata.description, MAX_DESCRIPTION_CHARS),
        ("model.name", &metadata.model.name, MAX_TEXT_CHARS),
        ("method", &metadata.method, MAX_TEXT_CHARS),
    ];
    let settings = metadata.settings.iter().flat_map(|(key, value)| {
        [("settings", key, MAX_TEXT_CHARS), ("settings", value, MAX_TEXT_CHARS)]
    });
    let made_on = metadata.made_on.iter().flat_map(|made_on| {
        let texts = [&made_on.engine, &made_on.version, &made_on.plugin, &made_on.dtype];
        let chosen = [&made_on.quantization, &made_on.adapter].into_iter().flatten();
        texts.into_iter().chain(chosen).map(|text| ("madeOn", text, MAX_TEXT_CHARS))
    });
    for (field, text, limit) in texts.into_iter().chain(settings).chain(made_on) {
        if text.chars().count() > limit {
            return Err(format!("{field} is longer than {limit} characters"));
        }
    }
    if metadata.settings.len() > MAX_SETTINGS {
        return Err(format!("there are more than {MAX_SETTINGS} settings"));
    }
    Ok(())
}

fn is_valid(validation: &LayerValidation) -> bool {
    let areas = [
        Some(validation.auroc),
        Some(validation.interval.low),
        Some(validation.interval.high),
        Some(validation.permuted.q95),
        Some(validation.permuted.q99),
        validation.rescored,
        validation.rescored_permuted.map(|permuted| permuted.q95),
        validation.rescored_permuted.map(|permuted| permuted.q99),
    ];
    areas.into_iter().flatten().all(|area| (0.0..=1.0).contains(&area))
        && validation.steering_effect.is_none_or(f64::is_finite)
}

fn is_dns_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| allowed(*byte));
    let bytes = name.as_bytes();
    name.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| allowed(*byte) || *byte == b'-')
}

/// The beginning of a text that may be long: enough to recognise it.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}
