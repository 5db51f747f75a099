//! Vector files, and what must hold of them.

use super::bytes::{read_file, read_text};
use crate::error::{Context as _, Result, bail};
use personaguard_persona::{MadeOn, ModelIdentity, TraitSpec, VectorFile};
use std::path::{Path, PathBuf};

/// A vector file and the path that it was read from.
#[derive(Clone, Debug)]
pub struct LoadedVector {
    /// Path of the file.
    pub path: PathBuf,
    /// Its content.
    pub file: VectorFile,
}

impl LoadedVector {
    /// The vector at the best layer, shape `[hidden]`.
    ///
    /// # Errors
    /// If the file lacks that layer, which does not happen for a checked file.
    pub fn best(&self) -> Result<&[f32]> {
        self.file
            .layer(self.file.best_layer())
            .with_context(|| format!("{} lacks its best layer", self.path.display()))
    }
}

/// Reads a vector file.
///
/// # Errors
/// If it cannot be read.
pub fn read_vector(path: &Path) -> Result<LoadedVector> {
    let bytes = read_file(path)?;
    let file = VectorFile::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(LoadedVector { path: path.to_path_buf(), file })
}

/// Reads the vector files of several traits.
///
/// # Errors
/// If one cannot be read, or two are of the same trait.
pub fn read_vectors(paths: &[PathBuf]) -> Result<Vec<LoadedVector>> {
    let mut vectors: Vec<LoadedVector> = Vec::new();
    for path in paths {
        let vector = read_vector(path)?;
        let name = vector.file.trait_name();
        if let Some(other) = vectors.iter().find(|other| other.file.trait_name() == name) {
            bail!("{} and {} are both of trait {name}", other.path.display(), path.display());
        }
        vectors.push(vector);
    }
    Ok(vectors)
}

/// The traits of vectors, in the order of the vectors: from trait files, or else the built-in ones.
///
/// # Errors
/// If a file is not a trait file, or a trait is neither in one of them nor built in.
pub fn trait_specs(vectors: &[LoadedVector], files: &[PathBuf]) -> Result<Vec<TraitSpec>> {
    let read = |path: &PathBuf| {
        TraitSpec::parse(&read_text(path)?).with_context(|| path.display().to_string())
    };
    let given = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    vectors
        .iter()
        .map(|vector| {
            let name = vector.file.trait_name();
            match given.iter().find(|spec| spec.name == name) {
                Some(spec) => Ok(spec.clone()),
                None => TraitSpec::builtin(name).context("give its trait file with --trait-files"),
            }
        })
        .collect()
}

/// Checks that vectors belong to a model, and to the adapter that it is served with, if any.
///
/// # Errors
/// If a vector was made from other weights.
pub fn check_model(
    vectors: &[LoadedVector],
    model: &ModelIdentity,
    served: Option<&MadeOn>,
) -> Result<()> {
    let adapter = |made_on: Option<&MadeOn>| made_on.and_then(|it| it.adapter.clone());
    let digest = |text: &str| text.chars().take(12).collect::<String>();
    for vector in vectors {
        let metadata = vector.file.metadata();
        if metadata.model.sha256 != model.sha256 {
            bail!(
                "{} was made from {} (SHA-256 {}…), not from these weights ({}…): extract the \
                 vector from these",
                vector.path.display(),
                metadata.model.name,
                digest(&metadata.model.sha256),
                digest(&model.sha256),
            );
        }
        let (made_with, is_with) = (adapter(metadata.made_on.as_ref()), adapter(served));
        if made_with != is_with {
            let name = |adapter: Option<String>| adapter.map_or("none".to_owned(), |name| name);
            bail!(
                "{} was made with another adapter ({}) than is served ({}): extract the vector \
                 from what is served",
                vector.path.display(),
                name(made_with),
                name(is_with),
            );
        }
    }
    Ok(())
}
