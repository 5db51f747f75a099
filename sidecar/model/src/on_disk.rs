//! What `--model` names: a GGUF file, or a folder as model hubs have it.

mod adapter;
mod folder;
mod safetensors;

pub(crate) use adapter::Adapter;

use crate::config::Config;
use crate::gguf::{GgufError, Header};
use crate::model::LoadError;
use crate::tokenizer::Tokenizer;
use crate::weights::{Sha, Source};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A model whose description was read, and whose weights were not yet.
pub(crate) struct OnDisk {
    pub(crate) config: Config,
    pub(crate) sources: Vec<Source>,
    /// The model's own name for itself, or its folder's.
    pub(crate) name: Option<String>,
    /// Chat template.
    pub(crate) template: Option<String>,
    pub(crate) tokenizer: Box<dyn FnOnce() -> Result<Tokenizer, LoadError> + Send>,
    pub(crate) kind: Kind,
}

/// What the digest is made of.
pub(crate) enum Kind {
    File,
    Folder {
        /// Names of the files with weights, in the order of [`OnDisk::sources`].
        weights: Vec<String>,
        others: BTreeMap<String, Sha>,
    },
}

impl Kind {
    /// A file's own SHA-256. A folder's is that of what `sha256sum` prints for the files that were
    /// read, in byte order of their names: 64 hex digits, two spaces, the name, a line break.
    pub(crate) fn digest(self, weights: &[Sha]) -> String {
        match self {
            Self::File => weights.first().map(hex::encode).unwrap_or_default(),
            Self::Folder { weights: names, others } => {
                let mut all = others;
                all.extend(names.into_iter().zip(weights.iter().copied()));
                let lines: String = all
                    .iter()
                    .map(|(name, sha)| format!("{}  {name}\n", hex::encode(sha)))
                    .collect();
                hex::encode(Sha256::digest(lines))
            }
        }
    }
}

impl OnDisk {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let io = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => LoadError::NotFound { path: path.to_path_buf() },
            _ => LoadError::Io { path: path.to_path_buf(), source },
        };
        let mut file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return folder::open(path);
        }
        if !metadata.is_file()
            || path.extension().is_some_and(|extension| extension == "safetensors")
        {
            let what = "give a GGUF file, or the folder that holds config.json, tokenizer.json and the safetensors";
            return Err(LoadError::Unsupported { what: format!("{}: {what}", path.display()) });
        }
        let mut header =
            Header::read(&mut BufReader::with_capacity(1 << 20, &mut file), metadata.len())
                .map_err(|error| match error {
                    GgufError::Io(source) => io(source),
                    GgufError::Corrupt(what) => LoadError::Corrupt { what },
                    GgufError::Unsupported(what) => LoadError::Unsupported { what },
                })?;
        if let Some(parts @ 2..) = header.int("split.count") {
            let what = format!(
                "one of {parts} files of a split model; merge them into one with llama-gguf-split --merge"
            );
            return Err(LoadError::Unsupported { what });
        }
        let tensors = std::mem::take(&mut header.tensors).into_iter().collect();
        Ok(Self {
            config: Config::from_gguf(&header)?,
            sources: vec![Source { file, tensors }],
            name: header.text("general.name").map(str::to_owned),
            template: header.text("tokenizer.chat_template").map(str::to_owned),
            tokenizer: Box::new(move || Tokenizer::from_gguf(&header)),
            kind: Kind::File,
        })
    }
}
