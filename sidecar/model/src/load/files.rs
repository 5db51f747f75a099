//! What either format yields before any weight is read.

use super::chat_templates::ChatTemplates;
use crate::arch::Architecture;
use crate::config::Config;
use crate::tensor::TensorInfo;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;

/// The embedding's name in GGUF.
const EMBEDDING: &str = "token_embd.weight";

/// A SHA-256 digest.
pub(crate) type Sha256Digest = [u8; 32];

/// A model whose description has been read, and whose weights have not. `T` describes its
/// tokenizer.
pub(crate) struct ModelFiles<T> {
    pub(crate) architecture: &'static Architecture,
    pub(crate) config: Config,
    pub(crate) tensors: Vec<TensorFile>,
    /// The model's own name for itself, or the name of its folder.
    pub(crate) name: Option<String>,
    pub(crate) chat_templates: ChatTemplates,
    pub(crate) tokenizer: T,
    pub(crate) digest: DigestSource,
}

impl<T> ModelFiles<T> {
    /// How many tokens the weights know. Without an embedding nothing can be loaded, whatever this
    /// says.
    pub(crate) fn embedding_rows(&self) -> usize {
        let mut tensors = self.tensors.iter().flat_map(|file| &file.tensors);
        tensors.find(|(name, _)| name == EMBEDDING).map_or(usize::MAX, |(_, info)| info.rows)
    }

    pub(super) fn map_tokenizer<U>(self, map: impl FnOnce(T) -> U) -> ModelFiles<U> {
        ModelFiles {
            architecture: self.architecture,
            config: self.config,
            tensors: self.tensors,
            name: self.name,
            chat_templates: self.chat_templates,
            tokenizer: map(self.tokenizer),
            digest: self.digest,
        }
    }
}

/// A file with tensors in it.
#[derive(Debug)]
pub(crate) struct TensorFile {
    pub(crate) file: File,
    /// By the names that GGUF gives them.
    pub(crate) tensors: Vec<(String, TensorInfo)>,
}

/// What the model's digest is computed from.
pub(crate) enum DigestSource {
    /// The one file.
    File,
    Folder {
        /// Names of the files with weights, in the order of [`ModelFiles::tensors`].
        weights: Vec<String>,
        /// Digests of the other files that were read, by name.
        others: BTreeMap<String, Sha256Digest>,
    },
}

impl DigestSource {
    /// Whether the model is one file, not a folder.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File)
    }

    /// The model's digest in hex, given those of its weight files. A file's digest is its SHA-256.
    /// A folder's is that of what `sha256sum` prints for the files that were read, in byte order of
    /// their names: 64 hex digits, two spaces, the name, a line break.
    pub(crate) fn digest(self, weights: &[Sha256Digest]) -> String {
        match self {
            Self::File => weights.first().map(hex::encode).unwrap_or_default(),
            Self::Folder { weights: names, others } => {
                let mut all = others;
                all.extend(names.into_iter().zip(weights.iter().copied()));
                let lines: String = all
                    .iter()
                    .map(|(name, digest)| format!("{}  {name}\n", hex::encode(digest)))
                    .collect();
                hex::encode(Sha256::digest(lines))
            }
        }
    }
}
