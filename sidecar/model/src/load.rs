//! What `--model` names: a GGUF file, or a Hugging Face folder.

pub(crate) mod adapter;
mod chat_templates;
mod files;
mod foreign;
pub(crate) mod fused;
pub(crate) mod gguf;
pub(crate) mod hf;
mod safetensors;

use crate::error::LoadError;
pub(crate) use chat_templates::ChatTemplates;
pub(crate) use files::{ModelFiles, Sha256Digest, TensorFile};
pub use foreign::foreign_file;
use gguf::Header;
use hf::HfTokenizerFiles;
use std::fs::File;
use std::path::Path;

/// Where the tokenizer is described.
pub(crate) enum TokenizerFiles {
    Gguf(Header),
    Hf(HfTokenizerFiles),
}

/// Reads the description of the model at `path`; the weights are read later.
pub(crate) fn open(path: &Path) -> Result<ModelFiles<TokenizerFiles>, LoadError> {
    let io = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => LoadError::NotFound { path: path.to_path_buf() },
        _ => LoadError::Io { path: path.to_path_buf(), source },
    };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return apart(hf::open(path)?.map_tokenizer(TokenizerFiles::Hf));
    }
    let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    if !metadata.is_file() || is_safetensors {
        return Err(LoadError::unsupported(format!(
            "{}: give a GGUF file, or the folder that holds config.json, tokenizer.json and the \
             safetensors",
            path.display()
        )));
    }
    foreign::check(path, &file)?;
    apart(gguf::open(path, file, metadata.len())?.map_tokenizer(TokenizerFiles::Gguf))
}

/// The same, with each matrix by itself.
fn apart<T>(mut files: ModelFiles<T>) -> Result<ModelFiles<T>, LoadError> {
    fused::split(&mut files.tensors, &files.config)?;
    Ok(files)
}
