//! The command `vector`: describes vector files, and exchanges vectors with other tools. Those are
//! `.pt` files such as the paper's repository has, plain safetensors, and GGUF control vectors as
//! repeng and llama.cpp use them.

mod choice;
mod description;
mod error;
mod format;
mod found;
mod gguf;
mod name;
mod pickle;
mod placement;
mod safetensors;
mod torch;

pub use placement::EmbeddingRow;

use crate::error::{Result, bail};
use crate::files::{LoadedVector, read_file, read_vector, write_file};
use choice::{Choice, Wanted, choose};
use description::layer_ranges;
use error::ImportError;
use format::Format;
use gguf::{control_vectors, export_gguf};
use personaguard_model::{LoadOptions, Model};
use personaguard_persona::{
    ModelIdentity, SampleCounts, VectorFile, VectorMetadata, norm, sha256_hex,
};
use placement::Placement;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// The layer to use, 1-based. A file of one vector has it for this layer.
    pub layer: u32,
    /// Name of the tensor, where the file has several that may be the vectors.
    pub tensor: Option<String>,
    /// Whether the file's first row is that of the embedding.
    pub embedding_row: EmbeddingRow,
    /// Whether the file's last row is no layer's.
    pub drop_last_row: bool,
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

/// What was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The vector file's SHA-256, in hexadecimal.
    pub sha256: String,
    /// How many tensors of the file were passed over.
    pub passed_over: usize,
}

/// Makes a vector file from vectors of another tool.
///
/// # Errors
/// If a file cannot be read or written, or the vectors do not fit the model.
pub fn import(settings: &ImportSettings) -> Result<Imported> {
    let model = Model::load(&settings.model, &LoadOptions::default())?;
    let bytes = read_file(&settings.file)?;
    let (layers, hidden) = (u32::try_from(model.layers())?, model.hidden_size());
    if !(1..=layers).contains(&settings.layer) {
        bail!(
            "--layer is {}, and the model has layers 1 to {layers}: give one of them",
            settings.layer
        );
    }
    let format = Format::of(&settings.file, &bytes)?;
    let wanted =
        Wanted { tensor: settings.tensor.as_deref(), trait_name: &settings.trait_name, hidden };
    let choose = |found| choose(found, wanted).map_err(|why| ImportError::new(format.label(), why));
    let Choice { directions, passed_over } = match format {
        Format::Torch => choose(torch::torch(&bytes)?)?,
        Format::Safetensors => choose(safetensors::safetensors(&bytes)?)?,
        Format::Gguf => control_vectors(&bytes, hidden)?,
    };
    let placement = Placement {
        layers,
        hidden,
        layer: settings.layer,
        embedding_row: settings.embedding_row,
        drop_last_row: settings.drop_last_row,
    };
    let matrix =
        placement.place(directions).map_err(|why| ImportError::new(format.label(), why))?;
    if matrix.layer(settings.layer).is_none_or(|vector| norm(vector) == 0.0) {
        bail!(
            "the file has no vector at layer {}, or a zero vector: give as --layer one that it \
             has, {}",
            settings.layer,
            layer_ranges(&matrix, |vector| norm(vector) != 0.0)
        );
    }
    let metadata = VectorMetadata {
        format: VectorMetadata::FORMAT.to_owned(),
        trait_name: settings.trait_name.clone(),
        description: settings.description.clone(),
        model: ModelIdentity { name: model.name().to_owned(), sha256: model.digest().to_owned() },
        made_on: None,
        method: format!("imported/{}", format.name()),
        counts: SampleCounts::default(),
        best_layer: settings.layer,
        validation: Vec::new(),
        calibration: Vec::new(),
        steering: Vec::new(),
        settings: BTreeMap::from([("imported".to_owned(), sha256_hex(&bytes))]),
    };
    let bytes = VectorFile::new(metadata, matrix, None, None)?.to_bytes()?;
    write_file(&settings.out, &bytes)?;
    Ok(Imported { sha256: sha256_hex(&bytes), passed_over })
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

#[cfg(test)]
mod tests;
