//! The architectures that the engine runs, one file each.
//!
//! To add one that differs only in what [`Architecture`] describes: write its file here, and name
//! it in [`ALL`].

mod description;
mod gemma2;
mod gemma3;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;

pub(crate) use description::Architecture;

use crate::error::LoadError;

const ALL: &[&Architecture] = &[
    &llama::ARCHITECTURE,
    &mistral::ARCHITECTURE,
    &qwen2::ARCHITECTURE,
    &qwen3::ARCHITECTURE,
    &gemma2::ARCHITECTURE,
    &gemma3::ARCHITECTURE,
];

/// The supported architectures, each by the first of its names: `general.architecture` in GGUF and
/// `model_type` in `config.json`.
pub fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().filter_map(|known| Some((*known.gguf.names.first()?, *known.hf.names.first()?)))
}

impl Architecture {
    /// The architecture that a GGUF header calls `name` (`general.architecture`).
    pub(crate) fn from_gguf_name(name: &str) -> Result<&'static Self, LoadError> {
        find(|architecture| architecture.gguf.names, name).ok_or_else(|| {
            let known = list(|architecture| architecture.gguf.names);
            LoadError::unsupported(format!("architecture {name}; supported are {known}"))
        })
    }

    /// The architecture that a `config.json` calls `name` (`model_type`).
    pub(crate) fn from_hf_name(name: &str) -> Result<&'static Self, LoadError> {
        find(|architecture| architecture.hf.names, name).ok_or_else(|| {
            let known = list(|architecture| architecture.hf.names);
            LoadError::unsupported(format!("model type {name}; supported are {known}"))
        })
    }
}

fn find(
    names: fn(&Architecture) -> &'static [&'static str],
    name: &str,
) -> Option<&'static Architecture> {
    ALL.iter().copied().find(|architecture| names(architecture).contains(&name))
}

/// All names, as in "a, b and c".
fn list(names: fn(&Architecture) -> &'static [&'static str]) -> String {
    let names: Vec<&str> =
        ALL.iter().flat_map(|architecture| names(architecture)).copied().collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
