//! Formats of other tools.

use crate::error::{Result, bail};
use std::path::Path;

/// Formats of other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Torch,
    Safetensors,
    Gguf,
}

impl Format {
    /// The format of a file, by how it begins, or else by its name.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Result<Self> {
        let name = path.display();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        match (bytes, kind) {
            ([b'G', b'G', b'U', b'F', ..], _) => Ok(Self::Gguf),
            ([b'P', b'K', 3, 4, ..], _) if kind != "npz" => Ok(Self::Torch),
            ([b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..], _) => {
                bail!("{name} is a Git LFS pointer, not the vectors: run `git lfs pull`")
            }
            ([b'<', ..], _) => {
                bail!("{name} is a web page: take the address that leads to the file itself")
            }
            (_, "npy" | "npz") => bail!(
                "{name} is of numpy: save it with \
                 torch.save(torch.from_numpy(numpy.load(…)), \"vectors.pt\")"
            ),
            (_, "safetensors") => Ok(Self::Safetensors),
            (_, "gguf") => Ok(Self::Gguf),
            (_, "pt" | "pth" | "bin") => Ok(Self::Torch),
            _ => bail!(
                "{name} is not a .pt, .safetensors or .gguf file: save the vectors as one of them"
            ),
        }
    }

    /// Its name in the metadata.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch",
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
        }
    }

    /// Its name in messages.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Torch => ".pt",
            Self::Safetensors => "safetensors",
            Self::Gguf => "GGUF",
        }
    }
}

#[cfg(test)]
mod tests;
