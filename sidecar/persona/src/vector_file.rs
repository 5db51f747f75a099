//! The vector file: one trait's persona vectors at every layer of one exact model, with what is
//! known about them.
//!
//! A safetensors file. Tensor `response_avg`, F32 `[layers + 1, hidden]`: row ℓ is the raw mean
//! difference after block ℓ, row 0 the embedding output; `prompt_avg` and `prompt_last` of the same
//! shape where they were taken. Its one metadata entry, `persona_vector`, is a [`VectorMetadata`]
//! as JSON, so that equal vectors give equal bytes, which a map of several entries in the header
//! would not.

use crate::calibration::Calibration;
use crate::ladder::{Rung, rises};
use crate::safetensors_view::{bytes, open, values};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Metadata entry of the safetensors header.
const ENTRY: &str = "persona_vector";
/// Value of [`VectorMetadata::format`].
const FORMAT: &str = "personaguard.dev/persona-vector/v1";

/// What a vector file may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits;

impl Limits {
    /// Bytes of a file.
    pub const FILE: usize = 512 << 20;
    /// Layers, without the embedding output.
    pub const LAYERS: usize = 1000;
    /// Width of the residual stream.
    pub const HIDDEN: usize = 1 << 17;
    /// Characters of the description.
    pub const DESCRIPTION: usize = 2000;
    /// Characters of any other text.
    pub const TEXT: usize = 253;
    /// Steps of steering.
    pub const RUNGS: usize = 64;
    /// Settings.
    pub const SETTINGS: usize = 64;
}

/// The model that a vector belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelIdentity {
    /// Name, for people.
    pub name: String,
    /// SHA-256 of the weight file, 64 lower-case hexadecimal digits: what binds the vector.
    pub sha256: String,
}

/// Responses that went into a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Responses that show the trait.
    pub positive: u32,
    /// Responses that don't.
    pub negative: u32,
}

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The permuted-label control: AUROC of vectors made from shuffled labels, on the same held-out
/// responses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permuted {
    /// Its 95% point.
    pub q95: f64,
    /// Its 99% point.
    pub q99: f64,
}

/// How well one layer's vector tells trait-showing from trait-free responses to questions it was
/// not made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerValidation {
    /// Area under the ROC curve, 0 to 1.
    pub auroc: f64,
    /// Its 95% confidence interval.
    pub interval: Interval,
    /// What chance reaches.
    pub permuted: Permuted,
    /// The area with the same responses read under a neutral system prompt: without what the prompt
    /// itself says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored: Option<f64>,
    /// What chance reaches there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored_permuted: Option<Permuted>,
    /// The effect of steering here on which the layer was chosen: change in log-likelihood per
    /// token of trait-showing against trait-free answers, per unit of coefficient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering_effect: Option<f64>,
}

/// What a file says about its vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VectorMetadata {
    /// Always [`VectorMetadata::FORMAT`].
    pub format: String,
    /// The trait: `evil`, `sycophantic` …; a DNS label.
    #[serde(rename = "trait")]
    pub trait_name: String,
    /// The trait in plain words.
    pub description: String,
    /// The model.
    pub model: ModelIdentity,
    /// How the vectors were made: `mean-difference/response-avg` …
    pub method: String,
    /// Responses that went in.
    pub counts: Counts,
    /// The layer to use, 1-based.
    pub best_layer: u32,
    /// One entry for each layer from 0, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<LayerValidation>,
    /// Benign `response_avg` of each layer from 0, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// What steering at the layer to use does to answers to held-out questions, by rising
    /// coefficient, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steering: Vec<Rung>,
    /// How to make it again: seed, tokens, rollouts …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl VectorMetadata {
    /// The format's name and version.
    pub const FORMAT: &str = FORMAT;
}

/// One value a layer and position of the residual stream: shape `[layers + 1, hidden]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMatrix {
    hidden: usize,
    values: Vec<f32>,
}

impl LayerMatrix {
    /// From rows of equal length, row 0 the embedding output. `None` if there are fewer than two,
    /// one is empty, or their lengths differ.
    #[must_use]
    pub fn from_rows(rows: &[Vec<f32>]) -> Option<Self> {
        let hidden = rows.first()?.len();
        let sound = rows.len() >= 2 && hidden > 0 && rows.iter().all(|row| row.len() == hidden);
        sound.then(|| Self { hidden, values: rows.concat() })
    }

    /// Layers, without the embedding output.
    #[must_use]
    pub fn layers(&self) -> u32 {
        (self.values.len() / self.hidden - 1) as u32
    }

    /// Width of the residual stream.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The vector after block `layer`, shape `[hidden]`; 0 is the embedding output.
    #[must_use]
    pub fn layer(&self, layer: u32) -> Option<&[f32]> {
        self.rows().nth(layer as usize)
    }

    /// The vectors of layers 0, 1 …, shape `[hidden]` each.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.hidden)
    }
}

/// A vector file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VectorFileError {
    /// Past what is read.
    #[error("the file has {0} bytes; at most {max} are read", max = Limits::FILE)]
    TooLarge(usize),
    /// Not a safetensors file.
    #[error("this is not a safetensors file that can be read: {0}")]
    Unreadable(String),
    /// A safetensors file, but not one of ours.
    #[error(
        "the file has no entry {ENTRY:?} in its metadata: make it with `personaguard extract` or `personaguard vector import`"
    )]
    NoMetadata,
    /// Metadata that do not parse or make no sense.
    #[error("the file's metadata are wrong: {0}")]
    Metadata(String),
    /// A tensor is missing, or of another type or shape, or holds values that are no numbers.
    #[error("tensor {name:?} {problem}")]
    Tensor {
        /// Name of the tensor.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// A vector file that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorFile {
    metadata: VectorMetadata,
    response_avg: LayerMatrix,
    prompt_avg: Option<LayerMatrix>,
    prompt_last: Option<LayerMatrix>,
}

impl VectorFile {
    /// From its parts.
    ///
    /// # Errors
    /// If the metadata make no sense or do not fit the vectors, or the shapes differ, or a value is
    /// not finite.
    pub fn new(
        metadata: VectorMetadata,
        response_avg: LayerMatrix,
        prompt_avg: Option<LayerMatrix>,
        prompt_last: Option<LayerMatrix>,
    ) -> Result<Self, VectorFileError> {
        check_matrix("response_avg", &response_avg)?;
        for (name, matrix) in [("prompt_avg", &prompt_avg), ("prompt_last", &prompt_last)] {
            let Some(matrix) = matrix else { continue };
            check_matrix(name, matrix)?;
            if (matrix.layers(), matrix.hidden()) != (response_avg.layers(), response_avg.hidden())
            {
                return Err(VectorFileError::Tensor {
                    name,
                    problem: "differs in shape from response_avg".to_owned(),
                });
            }
        }
        check_metadata(&metadata, &response_avg).map_err(VectorFileError::Metadata)?;
        Ok(Self { metadata, response_avg, prompt_avg, prompt_last })
    }

    /// Reads a file, which may come from anyone.
    ///
    /// # Errors
    /// If anything about it is not as [`VectorFile::to_bytes`] would write it; the message says
    /// what.
    pub fn parse(file: &[u8]) -> Result<Self, VectorFileError> {
        if file.len() > Limits::FILE {
            return Err(VectorFileError::TooLarge(file.len()));
        }
        let tensors = open(file).map_err(VectorFileError::Unreadable)?;
        let (_, header) = SafeTensors::read_metadata(file)
            .map_err(|error| VectorFileError::Unreadable(error.to_string()))?;
        let entry = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(ENTRY))
            .ok_or(VectorFileError::NoMetadata)?;
        let metadata = serde_json::from_str(entry)
            .map_err(|error| VectorFileError::Metadata(error.to_string()))?;
        let response_avg = matrix(&tensors, "response_avg")?.ok_or_else(|| {
            VectorFileError::Tensor { name: "response_avg", problem: "is missing".to_owned() }
        })?;
        Self::new(
            metadata,
            response_avg,
            matrix(&tensors, "prompt_avg")?,
            matrix(&tensors, "prompt_last")?,
        )
    }

    /// The file. Equal vectors give equal bytes.
    ///
    /// # Errors
    /// If the metadata do not serialise; for a file that was checked this does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VectorFileError> {
        let unreadable =
            |error: safetensors::SafeTensorError| VectorFileError::Unreadable(error.to_string());
        let entry = serde_json::to_string(&self.metadata)
            .map_err(|error| VectorFileError::Metadata(error.to_string()))?;
        let matrices = [
            ("prompt_avg", self.prompt_avg.as_ref()),
            ("prompt_last", self.prompt_last.as_ref()),
            ("response_avg", Some(&self.response_avg)),
        ];
        let data: Vec<_> = matrices
            .into_iter()
            .filter_map(|(name, matrix)| matrix.map(|matrix| (name, matrix, bytes(&matrix.values))))
            .collect();
        let views = data
            .iter()
            .map(|(name, matrix, data)| {
                let shape = vec![matrix.layers() as usize + 1, matrix.hidden];
                Ok((*name, TensorView::new(Dtype::F32, shape, data).map_err(unreadable)?))
            })
            .collect::<Result<Vec<_>, VectorFileError>>()?;
        serialize(views, Some(HashMap::from([(ENTRY.to_owned(), entry)]))).map_err(unreadable)
    }

    /// What the file says about its vectors.
    #[must_use]
    pub fn metadata(&self) -> &VectorMetadata {
        &self.metadata
    }

    /// The trait.
    #[must_use]
    pub fn trait_name(&self) -> &str {
        &self.metadata.trait_name
    }

    /// SHA-256 of the weight file that the vectors belong to, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn model_digest(&self) -> &str {
        &self.metadata.model.sha256
    }

    /// How the vectors were made.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.metadata.method
    }

    /// Responses that went in.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.metadata.counts
    }

    /// The layer to use, 1-based.
    #[must_use]
    pub fn best_layer(&self) -> u32 {
        self.metadata.best_layer
    }

    /// Layers of the model, without the embedding output.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.response_avg.layers()
    }

    /// Width of the residual stream.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.response_avg.hidden()
    }

    /// The raw `response_avg` vector after block `layer`, shape `[hidden]`; 0 is the embedding
    /// output.
    #[must_use]
    pub fn layer(&self, layer: u32) -> Option<&[f32]> {
        self.response_avg.layer(layer)
    }

    /// The vectors over response tokens.
    #[must_use]
    pub fn response_avg(&self) -> &LayerMatrix {
        &self.response_avg
    }

    /// The vectors over prompt tokens.
    #[must_use]
    pub fn prompt_avg(&self) -> Option<&LayerMatrix> {
        self.prompt_avg.as_ref()
    }

    /// The vectors at the last prompt token.
    #[must_use]
    pub fn prompt_last(&self) -> Option<&LayerMatrix> {
        self.prompt_last.as_ref()
    }

    /// How a layer does on held-out questions.
    #[must_use]
    pub fn validation(&self, layer: u32) -> Option<&LayerValidation> {
        self.metadata.validation.get(layer as usize)
    }

    /// Held-out area under the ROC curve of a layer, 0 to 1.
    #[must_use]
    pub fn auroc(&self, layer: u32) -> Option<f64> {
        self.validation(layer).map(|validation| validation.auroc)
    }

    /// Distribution of a layer's `response_avg` over benign responses.
    #[must_use]
    pub fn calibration(&self, layer: u32) -> Option<&Calibration> {
        self.metadata.calibration.get(layer as usize)
    }

    /// Whether a layer's held-out AUROC lies above the 99% point of its permuted-label control,
    /// with rescoring too where that was done. `None` for vectors that were not validated, as
    /// imported ones are not.
    #[must_use]
    pub fn discriminates(&self, layer: u32) -> Option<bool> {
        let found = self.validation(layer)?;
        let rescored = match (found.rescored, found.rescored_permuted) {
            (Some(auroc), Some(permuted)) => auroc > permuted.q99,
            _ => true,
        };
        Some(found.auroc > found.permuted.q99 && rescored)
    }

    /// Whether the best layer discriminates.
    #[must_use]
    pub fn is_discriminative(&self) -> Option<bool> {
        self.discriminates(self.best_layer())
    }

    /// Whether steering moves the text of answers along the trait at each step of the coefficient,
    /// by both measures. `None` for vectors with which it was not tried.
    #[must_use]
    pub fn steers(&self) -> Option<bool> {
        self.steers_at(self.best_layer())
    }

    /// As [`Self::steers`], at a layer. It was tried at the best one only.
    #[must_use]
    pub fn steers_at(&self, layer: u32) -> Option<bool> {
        rises(self.steering(layer))
    }

    /// What answers became as the vector was added at a layer; empty where that was not tried.
    #[must_use]
    pub fn steering(&self, layer: u32) -> &[Rung] {
        if layer == self.best_layer() { &self.metadata.steering } else { &[] }
    }

    /// The same vectors with other metadata: a new calibration, say.
    ///
    /// # Errors
    /// As [`VectorFile::new`].
    pub fn with_metadata(self, metadata: VectorMetadata) -> Result<Self, VectorFileError> {
        Self::new(metadata, self.response_avg, self.prompt_avg, self.prompt_last)
    }
}

fn matrix(
    tensors: &SafeTensors<'_>,
    name: &'static str,
) -> Result<Option<LayerMatrix>, VectorFileError> {
    let fail = |problem| VectorFileError::Tensor { name, problem };
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    let &[_, hidden] = tensor.shape() else {
        return Err(fail(format!("has shape {:?}, not [layers + 1, hidden]", tensor.shape())));
    };
    Ok(Some(LayerMatrix { hidden, values: values(&tensor).map_err(fail)? }))
}

fn check_matrix(name: &'static str, matrix: &LayerMatrix) -> Result<(), VectorFileError> {
    let fail = |problem: String| Err(VectorFileError::Tensor { name, problem });
    if matrix.hidden == 0 || matrix.hidden > Limits::HIDDEN {
        return fail(format!("is {} wide; 1 to {} are read", matrix.hidden, Limits::HIDDEN));
    }
    let rows = matrix.values.len() / matrix.hidden;
    if !(2..=Limits::LAYERS + 1).contains(&rows)
        || !matrix.values.len().is_multiple_of(matrix.hidden)
    {
        return fail(format!(
            "has {rows} rows; an embedding row and 1 to {} layers are read",
            Limits::LAYERS
        ));
    }
    match matrix.values.iter().position(|value| !value.is_finite()) {
        Some(index) => {
            fail(format!("has a value that is not a finite number, at position {index}"))
        }
        None => Ok(()),
    }
}

fn check_metadata(metadata: &VectorMetadata, vectors: &LayerMatrix) -> Result<(), String> {
    if metadata.format != FORMAT {
        return Err(format!("format is {:?}, and only {FORMAT:?} is read", clip(&metadata.format)));
    }
    if !is_dns_label(&metadata.trait_name) {
        let name = clip(&metadata.trait_name);
        return Err(format!(
            "trait {name:?} is not 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        ));
    }
    let digest = &metadata.model.sha256;
    if digest.len() != 64 || !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("model.sha256 is not 64 lower-case hexadecimal digits".to_owned());
    }
    let texts = [
        ("description", &metadata.description, Limits::DESCRIPTION),
        ("model.name", &metadata.model.name, Limits::TEXT),
    ];
    let settings = metadata.settings.iter().flat_map(|(key, value)| {
        [("settings", key, Limits::TEXT), ("settings", value, Limits::TEXT)]
    });
    for (field, text, most) in
        texts.into_iter().chain([("method", &metadata.method, Limits::TEXT)]).chain(settings)
    {
        if text.chars().count() > most {
            return Err(format!("{field} is longer than {most} characters"));
        }
    }
    if metadata.settings.len() > Limits::SETTINGS {
        return Err(format!("there are more than {} settings", Limits::SETTINGS));
    }
    let rows = vectors.layers() as usize + 1;
    if !(1..=vectors.layers()).contains(&metadata.best_layer) {
        return Err(format!(
            "bestLayer is {}, and the model has layers 1 to {}",
            metadata.best_layer,
            vectors.layers()
        ));
    }
    for (field, entries) in
        [("validation", metadata.validation.len()), ("calibration", metadata.calibration.len())]
    {
        if entries != 0 && entries != rows {
            return Err(format!(
                "{field} has {entries} entries, not one for each of {rows} layers"
            ));
        }
    }
    if metadata.steering.len() > Limits::RUNGS || !metadata.steering.iter().all(Rung::is_sound) {
        return Err("the steps of steering are too many, or no numbers".to_owned());
    }
    if let Some(layer) = metadata.calibration.iter().position(|calibration| !calibration.is_sound())
    {
        return Err(format!("the calibration of layer {layer} is not a distribution"));
    }
    if let Some(layer) = metadata.validation.iter().position(|validation| !validation.is_sound()) {
        return Err(format!(
            "the validation of layer {layer} has numbers that are no areas under a curve"
        ));
    }
    Ok(())
}

impl LayerValidation {
    fn is_sound(&self) -> bool {
        let areas = [
            Some(self.auroc),
            Some(self.interval.low),
            Some(self.interval.high),
            Some(self.permuted.q95),
            Some(self.permuted.q99),
            self.rescored,
            self.rescored_permuted.map(|permuted| permuted.q95),
            self.rescored_permuted.map(|permuted| permuted.q99),
        ];
        areas.into_iter().flatten().all(|area| (0.0..=1.0).contains(&area))
            && self.steering_effect.is_none_or(f64::is_finite)
    }
}

fn is_dns_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| allowed(*byte));
    let bytes = name.as_bytes();
    name.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| allowed(*byte) || *byte == b'-')
}

/// Enough of a hostile text to recognise it.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
