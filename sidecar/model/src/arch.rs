//! The architectures that the engine runs, one file each.
//!
//! To add one that differs only in what [`Architecture`] describes: write its file here, and name
//! it in [`ALL`].

mod description;
mod gemma;
mod gemma2;
mod gemma3;
mod granite;
mod llama;
mod mistral;
mod olmo2;
mod olmoe;
mod parts;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;

pub(crate) use description::{Architecture, split_block};

use crate::error::LoadError;
use parts::{MISSING, Part};

const ALL: &[&Architecture] = &[
    &llama::ARCHITECTURE,
    &mistral::ARCHITECTURE,
    &qwen2::ARCHITECTURE,
    &qwen3::ARCHITECTURE,
    &qwen3moe::ARCHITECTURE,
    &gemma::ARCHITECTURE,
    &gemma2::ARCHITECTURE,
    &gemma3::ARCHITECTURE,
    &granite::ARCHITECTURE,
    &olmo2::ARCHITECTURE,
    &olmoe::ARCHITECTURE,
    &phi3::ARCHITECTURE,
];

/// The supported architectures, each by the first of its names: `general.architecture` in GGUF and
/// `model_type` in `config.json`.
pub fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().filter_map(|known| Some((*known.gguf.names.first()?, *known.hf.names.first()?)))
}

impl Architecture {
    /// The architecture that a GGUF header calls `name` (`general.architecture`). `is_set` tells
    /// whether the header has a setting under that name.
    pub(crate) fn from_gguf(
        name: &str,
        is_set: impl Fn(&str) -> bool,
    ) -> Result<&'static Self, LoadError> {
        let settings = |part: &Part| part.gguf;
        find("architecture", name, |architecture| architecture.gguf.names, settings, is_set)
    }

    /// The architecture that a `config.json` calls `name` (`model_type`). `is_set` tells whether it
    /// has a setting.
    pub(crate) fn from_hf(
        name: &str,
        is_set: impl Fn(&str) -> bool,
    ) -> Result<&'static Self, LoadError> {
        let settings = |part: &Part| part.hf;
        find("model type", name, |architecture| architecture.hf.names, settings, is_set)
    }
}

/// The architecture of this name.
///
/// # Errors
/// There is none, or the model has a part that is missing here.
fn find(
    what: &str,
    name: &str,
    names: fn(&Architecture) -> &'static [&'static str],
    settings: fn(&Part) -> &'static [&'static str],
    is_set: impl Fn(&str) -> bool,
) -> Result<&'static Architecture, LoadError> {
    let found = ALL.iter().copied().find(|architecture| names(architecture).contains(&name));
    let missing = MISSING.iter().filter(|part| {
        found.is_none_or(part.is_missing_in) && settings(part).iter().any(|key| is_set(key))
    });
    let missing: Vec<&str> = missing.map(|part| part.name).collect();
    let with = if missing.is_empty() { "" } else { " with " };
    let model = format!("{what} {name}{with}{}", missing.join(" and "));
    match found {
        Some(found) if missing.is_empty() => Ok(found),
        Some(_) => Err(LoadError::beyond(model)),
        None => Err(LoadError::unsupported(format!("{model}; supported are {}", list(names)))),
    }
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
