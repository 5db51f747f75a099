//! Where the token of a hub is found.

use crate::error::FetchError;
use personaguard_terms::names::HUB_TOKEN_ENV as TOKEN;
use std::ffi::OsString;
use std::path::PathBuf;

/// Variable with the path of a file that holds it.
const TOKEN_PATH: &str = "HF_TOKEN_PATH";
/// Variable with the folder in which the hub's own tools keep it.
const HOME: &str = "HF_HOME";

/// The token as the hub's own tools find it, by the variables that `variable` looks up: `HF_TOKEN`,
/// the file `HF_TOKEN_PATH`, `token` in `HF_HOME`, `~/.cache/huggingface/token`.
///
/// # Errors
/// `HF_TOKEN_PATH` names a file that cannot be read.
pub fn token_from(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<String>, FetchError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(token) = set(TOKEN) {
        return Ok(plain(&token.to_string_lossy()));
    }
    if let Some(path) = set(TOKEN_PATH).map(PathBuf::from) {
        return match std::fs::read_to_string(&path) {
            Ok(text) => Ok(plain(&text)),
            Err(error) => Err(FetchError::io(&path, "read", error)),
        };
    }
    let home = set(HOME).map(PathBuf::from).or_else(|| {
        set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .map(|cache| cache.join("huggingface"))
    });
    let stored = home.and_then(|home| std::fs::read_to_string(home.join("token")).ok());
    Ok(stored.as_deref().and_then(plain))
}

fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
