//! GGUF files: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod config;
mod dtype;
mod header;
mod reader;

pub(crate) use header::Header;
#[cfg(test)]
pub(crate) use header::MetadataValue;

use super::chat_templates::ChatTemplates;
use super::files::{DigestSource, ModelFiles, TensorFile};
use crate::error::LoadError;
use header::GgufError;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Reads the header of `file`, which is `length` bytes long.
pub(super) fn open(
    path: &Path,
    mut file: File,
    length: u64,
) -> Result<ModelFiles<Header>, LoadError> {
    let mut header = Header::read(&mut BufReader::with_capacity(1 << 20, &mut file), length)
        .map_err(|error| match error {
            GgufError::Io(source) => LoadError::Io { path: path.to_path_buf(), source },
            GgufError::Incomplete(what) => LoadError::incomplete(what),
            GgufError::Corrupt(what) => LoadError::corrupt(what),
            GgufError::Unsupported(what) => LoadError::unsupported(what),
        })?;
    if let Some(parts @ 2..) = header.int("split.count") {
        return Err(LoadError::unsupported(format!(
            "one of {parts} files of a split model; merge them into one with \
             llama-gguf-split --merge"
        )));
    }
    let (architecture, config) = config::read(&header)?;
    let tensors = std::mem::take(&mut header.tensors).into_iter();
    let tensors = tensors.map(|(name, info)| (architecture.gguf.tensor(name), info)).collect();
    Ok(ModelFiles {
        architecture,
        config,
        tensors: vec![TensorFile { file, tensors }],
        name: header.text("general.name").map(str::to_owned),
        chat_templates: chat_templates(&header)?,
        tokenizer: header,
        digest: DigestSource::File,
    })
}

/// `tokenizer.chat_template`, and those that `tokenizer.chat_templates` names.
fn chat_templates(header: &Header) -> Result<ChatTemplates, LoadError> {
    const KEY: &str = "tokenizer.chat_template";
    let of =
        |name: &String| Some((name.clone(), header.text(&format!("{KEY}.{name}"))?.to_owned()));
    let named = header.texts("tokenizer.chat_templates").unwrap_or_default();
    let default = header.text(KEY).map(|source| ("default".to_owned(), source.to_owned()));
    ChatTemplates::choose(named.iter().filter_map(of).chain(default).collect())
}
