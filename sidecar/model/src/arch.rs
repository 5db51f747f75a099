//! The architectures that the engine runs, one file each.
//!
//! To add one that differs only in what [`Architecture`] describes: write its file here, and name
//! it in [`ALL`].

mod description;
mod gemma;
mod gemma2;
mod gemma3;
mod gpt_oss;
mod granite;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod olmoe;
mod parts;
mod phi3;
mod qwen2;
mod qwen2moe;
mod qwen3;
mod qwen3moe;

pub(crate) use description::{Architecture, split_block};

use crate::error::LoadError;
use parts::{MISSING, Part};
use std::collections::HashSet;

const ALL: &[&Architecture] = &[
    &llama::ARCHITECTURE,
    &mistral::ARCHITECTURE,
    &mixtral::ARCHITECTURE,
    &qwen2::ARCHITECTURE,
    &qwen2moe::ARCHITECTURE,
    &qwen3::ARCHITECTURE,
    &qwen3moe::ARCHITECTURE,
    &gemma::ARCHITECTURE,
    &gemma2::ARCHITECTURE,
    &gemma3::ARCHITECTURE,
    &gpt_oss::ARCHITECTURE,
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
    let missing = |found: Option<&Architecture>| -> Vec<&str> {
        let missing = MISSING.iter().filter(|part| {
            found.is_none_or(part.is_missing_in) && settings(part).iter().any(|key| is_set(key))
        });
        missing.map(|part| part.name).collect()
    };
    // Mixtures of experts may have the name of what they are made of.
    let of_this_name =
        ALL.iter().copied().filter(|architecture| names(architecture).contains(&name));
    let found = of_this_name.min_by_key(|found| missing(Some(found)).len());
    let missing = missing(found);
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
    let mut names: Vec<&str> =
        ALL.iter().flat_map(|architecture| names(architecture)).copied().collect();
    // Some have the same name.
    let mut listed = HashSet::new();
    names.retain(|name| listed.insert(*name));
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
