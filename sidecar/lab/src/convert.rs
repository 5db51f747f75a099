//! The command `vector`: describes vector files, and exchanges vectors with other tools. Those are
//! `.pt` files of the paper's repository, plain safetensors, and GGUF control vectors as repeng and
//! llama.cpp use them.

mod description;
mod error;
mod flat;
mod gguf;
mod pickle;
mod safetensors;
mod torch;

use crate::error::{Result, bail};
use crate::files::{LoadedVector, read_file, read_vector, write_file};
use gguf::{export_gguf, import_gguf};
use personaguard_model::{LoadOptions, Model};
use personaguard_persona::{
    LayerMatrix, ModelIdentity, SampleCounts, VectorFile, VectorMetadata, norm, sha256_hex,
};
use safetensors::import_safetensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use torch::import_torch;

/// A file of another tool to import.
#[derive(Clone, Debug)]
pub struct ImportSettings {
    /// The file: `.pt`, `.safetensors` or `.gguf`.
    pub file: PathBuf,
    /// Weight file of the model that the vectors belong to.
    pub model: PathBuf,
    /// Name of the trait.
    pub trait_name: String,
    /// Description of the trait.
    pub description: String,
    /// The layer to use, 1-based.
    pub layer: u32,
    /// Vector file to write.
    pub out: PathBuf,
}

/// Describes a vector file, for a person to read.
///
/// # Errors
/// If it cannot be read.
pub fn describe(path: &Path) -> Result<String> {
    let LoadedVector { file, .. } = read_vector(path)?;
    Ok(description::describe(&file, &sha256_hex(&read_file(path)?))?)
}

/// Makes a vector file from vectors of another tool. Returns its SHA-256, in hexadecimal.
///
/// # Errors
/// If a file cannot be read or written, or the vectors do not fit the model.
pub fn import(settings: &ImportSettings) -> Result<String> {
    let model = Model::load(&settings.model, &LoadOptions::default())?;
    let bytes = read_file(&settings.file)?;
    let layers = u32::try_from(model.layers())?;
    let (matrix, format): (LayerMatrix, _) =
        match settings.file.extension().and_then(|extension| extension.to_str()) {
            Some("pt" | "pth") => (import_torch(&bytes)?, "torch"),
            Some("safetensors") => (import_safetensors(&bytes)?, "safetensors"),
            Some("gguf") => (import_gguf(&bytes, layers)?, "gguf"),
            _ => bail!("{} is not a .pt, .safetensors or .gguf file", settings.file.display()),
        };
    if (matrix.layers(), matrix.hidden()) != (layers, model.hidden_size()) {
        bail!(
            "the vectors are for {} layers of {} values, the model has {layers} of {}: they belong \
             to another model",
            matrix.layers(),
            matrix.hidden(),
            model.hidden_size()
        );
    }
    if matrix.layer(settings.layer).is_none_or(|vector| norm(vector) == 0.0) {
        bail!("the file has no vector at layer {}, or a zero vector", settings.layer);
    }
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: settings.trait_name.clone(),
        description: settings.description.clone(),
        model: ModelIdentity { name: model.name().to_owned(), sha256: model.digest().to_owned() },
        method: format!("imported/{format}"),
        counts: SampleCounts::default(),
        best_layer: settings.layer,
        validation: Vec::new(),
        calibration: Vec::new(),
        steering: Vec::new(),
        settings: BTreeMap::from([("imported".to_owned(), sha256_hex(&bytes))]),
    };
    let bytes = VectorFile::new(metadata, matrix, None, None)?.to_bytes()?;
    write_file(&settings.out, &bytes)?;
    Ok(sha256_hex(&bytes))
}

/// Writes the vectors of a vector file as a GGUF control vector, for a model of an architecture.
/// Returns its SHA-256, in hexadecimal.
///
/// # Errors
/// If a file cannot be read or written.
pub fn export(path: &Path, architecture: &str, out: &Path) -> Result<String> {
    let bytes = export_gguf(read_vector(path)?.file.response_avg(), architecture);
    write_file(out, &bytes)?;
    Ok(sha256_hex(&bytes))
}
