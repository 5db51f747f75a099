//! What is to be fetched.

use crate::error::FetchError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Longest name of a repository, revision or file.
const LONGEST: usize = 500;

/// What is to be fetched: a GGUF file of a repository, or its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    repo: String,
    revision: String,
    file: Option<String>,
}

impl Wanted {
    /// A GGUF file, or without one the folder, of the repository `OWNER/NAME` at a commit, branch
    /// or tag.
    ///
    /// # Errors
    /// One of these is not a name, or leads elsewhere.
    pub fn new(repo: &str, revision: &str, file: Option<&str>) -> Result<Self, FetchError> {
        let invalid = |what: String| Err(FetchError::Invalid(what));
        if let Some(name) = repo.strip_prefix("https://").or_else(|| repo.strip_prefix("http://")) {
            let mut parts = name.trim_end_matches('/').split('/').skip(1);
            let short = [parts.next().unwrap_or("OWNER"), parts.next().unwrap_or("NAME")].join("/");
            return invalid(format!("the repository {repo:?} is an address: write {short}"));
        }
        let parts: Vec<&str> = repo.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
            return invalid(format!("{repo:?} is not a repository: write OWNER/NAME"));
        }
        if !is_path(revision) {
            return invalid(format!(
                "{revision:?} is not a revision: write a commit (40 hex digits), a branch or a tag"
            ));
        }
        if let Some(file) = file {
            if !is_path(file) {
                return invalid(format!("{file:?} is not the name of a file in a repository"));
            }
            let gguf =
                Path::new(file).extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf"));
            if !gguf {
                return invalid(format!(
                    "{file} is not a GGUF file: name one, or leave the file out, for the folder \
                     with config.json, tokenizer.json and the safetensors"
                ));
            }
            if is_part(file) {
                return invalid(format!(
                    "{file} is a part of a GGUF file that was split: name one that is whole, or \
                     merge the parts (llama-gguf-split --merge) and serve the result from a claim \
                     or an image"
                ));
            }
        }
        Ok(Self {
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }

    /// The repository, as `OWNER/NAME`.
    #[must_use]
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The commit, branch or tag.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The GGUF file; none for the folder.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The path of what is fetched into `folder`, as a model's path is given.
    #[must_use]
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        self.file.as_ref().map_or_else(|| folder.to_owned(), |file| folder.join(file))
    }

    /// The folder into which it is to be fetched, so that the model's path is `model`; `None` if
    /// no folder leads to that.
    #[must_use]
    pub fn folder_of(&self, model: &Path) -> Option<PathBuf> {
        let Some(file) = &self.file else { return Some(model.to_owned()) };
        let depth = Path::new(file).components().count();
        model.ends_with(file).then(|| model.ancestors().nth(depth))?.map(Path::to_owned)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file} of ")?;
        }
        write!(f, "{} at {}", self.repo, self.revision)
    }
}

/// Whether a name can be part of a path and nothing else.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(plain) && !text.starts_with('.')
}

/// Whether it is a path that leads to below where it begins.
pub(crate) fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    text.len() <= LONGEST
        && !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\')
        && text.split('/').all(is_part)
}

/// Whether it is named as a part of several: `NAME-00001-of-00003.gguf`.
fn is_part(file: &str) -> bool {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let Some((rest, count)) = stem.rsplit_once("-of-") else { return false };
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    number(count) && rest.rsplit_once('-').is_some_and(|(_, index)| number(index))
}

#[cfg(test)]
mod tests;
