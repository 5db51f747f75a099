//! Which files of a repository are fetched: those that the engine reads, by a list of names. Pure.

use crate::error::FetchError;
use crate::wanted::is_path;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const INDEX: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";
/// Files without which no folder is served.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files that are read if they are there.
const OPTIONAL: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
];
/// The folder with further chat templates.
const TEMPLATES: &str = "additional_chat_templates/";
/// Most files with weights, and most names in a message.
const MAX_SHARDS: usize = 1 << 12;
const SHOWN: usize = 12;

/// What is fetched of a folder before its weights, and the weights, unless their index says which
/// they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) small: Vec<String>,
    pub(crate) weights: Option<String>,
}

/// Chooses from the names of a repository's files.
pub(crate) fn choose(repo: &str, names: &[String]) -> Result<Choice, FetchError> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if !has(SINGLE_FILE) && !has(INDEX) {
        return Err(FetchError::Unusable(no_weights(repo, names)));
    }
    for name in REQUIRED {
        if !has(name) {
            return Err(FetchError::Unusable(format!(
                "{repo} holds no {name}: take a repository with config.json, tokenizer.json and \
                 safetensors, or a GGUF file"
            )));
        }
    }
    let is_template = |name: &&String| {
        let template = name.strip_prefix(TEMPLATES).and_then(|rest| rest.strip_suffix(".jinja"));
        template.is_some_and(|rest| is_path(rest) && !rest.contains('/'))
    };
    let known = REQUIRED.into_iter().chain(OPTIONAL).filter(|name| has(name)).map(str::to_owned);
    let mut small: Vec<String> = known.chain(names.iter().filter(is_template).cloned()).collect();
    if has(SINGLE_FILE) {
        return Ok(Choice { small, weights: Some(SINGLE_FILE.to_owned()) });
    }
    small.push(INDEX.to_owned());
    Ok(Choice { small, weights: None })
}

/// The files with weights that an index names.
pub(crate) fn shards(repo: &str, index: &[u8]) -> Result<Vec<String>, FetchError> {
    let json: Value = serde_json::from_slice(index).map_err(|error| {
        FetchError::Unusable(format!("{INDEX} of {repo} is not valid JSON: {error}"))
    })?;
    let map = json.get("weight_map").and_then(Value::as_object);
    let names: BTreeSet<&str> = map.into_iter().flatten().filter_map(|it| it.1.as_str()).collect();
    let is_plain =
        |name: &&str| name.ends_with(".safetensors") && is_path(name) && !name.contains('/');
    if names.is_empty() || names.len() > MAX_SHARDS || !names.iter().all(is_plain) {
        return Err(FetchError::Unusable(format!(
            "{INDEX} of {repo} does not name safetensors files of its folder"
        )));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// What a repository without weights in safetensors holds instead, and what to do.
fn no_weights(repo: &str, names: &[String]) -> String {
    let gguf = ggufs(names);
    let ends = |ends: &[&str]| names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)));
    if !gguf.is_empty() {
        return format!("{repo} holds GGUF files: name one as file: {}", listed(&gguf));
    }
    match (ends(&[".bin", ".pt", ".pth"]), ends(&[".safetensors"])) {
        (Some(name), _) => format!(
            "{repo} holds no safetensors but {name}, a PyTorch checkpoint, which is never fetched: \
             take a repository that holds safetensors or GGUF"
        ),
        (None, Some(name)) => {
            format!("{repo} holds {name}, but neither {SINGLE_FILE} nor {INDEX}, which lists parts")
        }
        (None, None) => {
            format!("{repo} holds no weights: take one with safetensors or a GGUF file")
        }
    }
}

/// The GGUF files among these.
pub(crate) fn ggufs(names: &[String]) -> Vec<&str> {
    let is_gguf = |name: &&str| name.to_ascii_lowercase().ends_with(".gguf");
    names.iter().map(String::as_str).filter(is_gguf).collect()
}

/// Names, but not too many of them.
pub(crate) fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests;
