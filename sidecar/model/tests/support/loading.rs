//! Tiny models from files and folders, and what they answer.

use super::hf::{self, Dtype};
use super::{Shape, tiny};
use personaguard_model::{
    Engine, EngineOptions, Event, GenerateRequest, LoadError, LoadOptions, Model,
};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// A model of a GGUF file's bytes.
pub fn load(file: &[u8], options: &LoadOptions) -> Result<Model, LoadError> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file).unwrap();
    Model::load(on_disk.path(), options)
}

/// A folder of a small Llama, in two shards.
pub fn folder() -> tempfile::TempDir {
    hf::folder(&mut tiny(&Shape::of("llama"), 1), Dtype::F32, 2)
}

/// The same, in a folder that is there and empty.
pub fn folder_at(path: &Path) {
    copy(folder().path(), path);
}

/// Copies the files of a folder.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

pub fn load_folder(path: &Path) -> Result<Model, LoadError> {
    Model::load(path, &LoadOptions { threads: Some(1), ..LoadOptions::default() })
}

/// A folder is refused, and the message says this.
pub fn refused(path: &Path, with: &str) {
    match load_folder(path) {
        Err(error) => assert!(error.to_string().contains(with), "{error}"),
        Ok(_) => panic!("a folder loaded that should be refused with: {with}"),
    }
}

/// The tokens of a model's answer, 24 at most.
pub fn answer(model: Model, prompt: Vec<u32>) -> Vec<u32> {
    let engine = Engine::start(Arc::new(model), EngineOptions::default()).unwrap();
    let request = GenerateRequest { prompt, max_tokens: 24, ..Default::default() };
    let mut generation = engine.submit(request).unwrap();
    let mut answer = Vec::new();
    while let Some(event) = generation.blocking_next() {
        if let Event::Token(token) = event {
            answer.push(token.id);
        }
    }
    answer
}
