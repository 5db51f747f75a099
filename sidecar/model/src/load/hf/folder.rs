//! Reading the small files of a folder, with their digests.

use super::python_json;
use crate::error::LoadError;
use crate::load::files::Sha256Digest;
use crate::load::foreign;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Longest file that is read whole.
const MAX_BYTES: u64 = 256 << 20;
/// Most files with weights.
const MAX_SHARDS: usize = 1 << 12;

const INDEX: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";

/// A folder, with the digests of the files that were read.
pub(super) struct Folder<'a> {
    path: &'a Path,
    digests: BTreeMap<String, Sha256Digest>,
}

impl<'a> Folder<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, digests: BTreeMap::new() }
    }

    /// Digests of the files that were read, by name.
    pub(super) fn into_digests(self) -> BTreeMap<String, Sha256Digest> {
        self.digests
    }

    /// A file's contents; `None` where there is no such file.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, LoadError> {
        let io = |source| LoadError::Io { path: self.path.join(name), source };
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(source)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::unsupported(format!("{name} is longer than 256 MiB")));
        }
        foreign::check_inside(name, &bytes)?;
        self.digests.insert(name.to_owned(), Sha256::digest(&bytes).into());
        Ok(Some(bytes))
    }

    /// Names of the files in a folder inside, in order, at most as many as are read of weights;
    /// none where there is no such folder.
    pub(super) fn names(&self, inside: &str) -> Result<Vec<String>, LoadError> {
        let path = self.path.join(inside);
        let io = |source| LoadError::Io { path: path.clone(), source };
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(source)),
        };
        let mut names = Vec::new();
        for entry in entries.take(MAX_SHARDS) {
            names.extend(entry.map_err(io)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn json(&mut self, name: &str) -> Result<Option<Value>, LoadError> {
        self.bytes(name)?.map(|bytes| python_json::parse(name, &bytes)).transpose()
    }

    pub(super) fn required_bytes(&mut self, name: &str) -> Result<Vec<u8>, LoadError> {
        self.bytes(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn required_json(&mut self, name: &str) -> Result<Value, LoadError> {
        self.json(name)?.ok_or_else(|| self.missing(name))
    }

    /// Names of the files with weights.
    pub(super) fn shards(&mut self) -> Result<BTreeSet<String>, LoadError> {
        if self.path.join(SINGLE_FILE).exists() {
            return Ok([SINGLE_FILE.to_owned()].into());
        }
        let index = self.json(INDEX)?.ok_or_else(|| self.no_weights())?;
        let names: BTreeSet<String> = index
            .get("weight_map")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values().filter_map(Value::as_str).map(str::to_owned))
            .collect();
        // The folder is untrusted input: no name may lead out of it.
        let is_plain =
            |name: &String| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
        if names.is_empty() || names.len() > MAX_SHARDS || !names.iter().all(is_plain) {
            return Err(LoadError::corrupt(format!("{INDEX} names no files of this folder")));
        }
        let absent: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !self.path.join(name).exists())
            .collect();
        match absent.is_empty() {
            true => Ok(names),
            false => Err(LoadError::incomplete(format!(
                "{INDEX} names {}, which {} does not hold",
                absent.join(", "),
                self.path.display()
            ))),
        }
    }

    /// A file with weights, from its start.
    pub(super) fn weights(&self, name: &str) -> Result<File, LoadError> {
        let io = |source| LoadError::Io { path: self.path.join(name), source };
        let mut file = File::open(self.path.join(name)).map_err(io)?;
        let mut start = Vec::new();
        file.by_ref().take(foreign::START as u64).read_to_end(&mut start).map_err(io)?;
        foreign::check_inside(name, &start)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        Ok(file)
    }

    /// The error where there are no weights that can be read, which says what is there instead.
    fn no_weights(&self) -> LoadError {
        let names = self.names("").unwrap_or_default();
        let ending =
            |ends: &[&str]| names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)));
        let what = if let Some(name) = ending(&[".safetensors"]) {
            format!("{name}, but neither {SINGLE_FILE} nor {INDEX}, which lists the parts")
        } else if let Some(name) = ending(&[".gguf"]) {
            format!("{name}: name that file itself")
        } else if let Some(name) = ending(&[".bin", ".pt", ".pth"]) {
            format!("{name}, a PyTorch checkpoint: convert it to safetensors")
        } else {
            return self.missing(SINGLE_FILE);
        };
        LoadError::unsupported(format!("{} holds {what}", self.path.display()))
    }

    fn missing(&self, name: &str) -> LoadError {
        LoadError::unsupported(format!(
            "{} holds no {name}; give a GGUF file, or a folder with config.json, tokenizer.json \
             and {SINGLE_FILE}",
            self.path.display()
        ))
    }
}
