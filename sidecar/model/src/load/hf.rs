//! Hugging Face folders: `config.json`, `tokenizer.json`, and safetensors in one file or several.

mod chat_templates;
mod config;
mod folder;
mod json;
mod names;
mod python_json;
mod rope;
mod tokenizer_files;

pub(crate) use python_json::parse as parse_json;
pub(crate) use tokenizer_files::HfTokenizerFiles;

pub(super) use names::block_tensor;

use super::files::{DigestSource, ModelFiles, TensorFile};
use super::safetensors;
use crate::error::LoadError;
use folder::Folder;
use names::Names;
use std::io::BufReader;
use std::path::Path;

/// Reads the description of the model in the folder `path`.
pub(super) fn open(path: &Path) -> Result<ModelFiles<HfTokenizerFiles>, LoadError> {
    let mut folder = Folder::new(path);
    let json = config::text_part(folder.required_json("config.json")?);
    let (architecture, config) = config::read(&json)?;
    let is_tied = config::is_tied(&json, architecture);
    let mut names = Names::new(architecture, is_tied, config.layers);
    let mut tensors = Vec::new();
    let shards = folder.shards()?;
    for name in &shards {
        let io = |source| LoadError::Io { path: path.join(name), source };
        let mut file = folder.weights(name)?;
        let length = file.metadata().map_err(io)?.len();
        let found = safetensors::read_chosen(
            &mut BufReader::new(&mut file),
            length,
            name,
            |tensor, described| names.choose(tensor, &described),
        )?;
        tensors.push(TensorFile { tensors: found, file });
    }
    names.warn();
    let tokenizer = HfTokenizerFiles {
        tokenizer: folder.required_bytes("tokenizer.json")?,
        config: folder.json("tokenizer_config.json")?.unwrap_or_default(),
        generation: folder.json("generation_config.json")?.unwrap_or_default(),
        model: json,
    };
    let chat_templates = chat_templates::read(&mut folder, &tokenizer.config)?;
    Ok(ModelFiles {
        architecture,
        config,
        tensors,
        name: path
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
        chat_templates,
        tokenizer,
        digest: DigestSource::Folder {
            weights: shards.into_iter().collect(),
            others: folder.into_digests(),
        },
    })
}
