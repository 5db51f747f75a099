//! Where the trait of an extraction comes from.

use super::trait_generator::TraitGenerator;
use crate::error::{Context as _, Result, bail};
use crate::files::{read_text, write_file};
use personaguard_persona::TraitSpec;
use std::path::{Path, PathBuf};

/// Where the trait of an extraction comes from: a trait file if one is given; or else a
/// description, from which it is generated; or else the built-in traits.
#[derive(Clone, Debug)]
pub struct TraitSource {
    /// Name of the trait.
    pub name: Option<String>,
    /// Trait file: YAML of this project, or JSON of the paper's repository.
    pub file: Option<PathBuf>,
    /// Description of the trait, `NAME: what an answer that shows it does`.
    pub description: Option<String>,
    /// Where a generated trait is kept.
    pub generated: PathBuf,
}

impl TraitSource {
    /// The trait; `None` if it has yet to be generated.
    ///
    /// # Errors
    /// If there is no such trait, or its file cannot be used.
    pub(super) fn existing(&self) -> Result<Option<TraitSpec>> {
        match (&self.file, &self.description) {
            (Some(path), description) => {
                self.read_file(path, description.as_deref().unwrap_or_default()).map(Some)
            }
            (None, Some(description)) => self.generated_before(description),
            (None, None) => Ok(Some(TraitSpec::builtin(self.name.as_deref().unwrap_or_default())?)),
        }
    }

    /// Generates the trait from its description, and keeps it.
    ///
    /// # Errors
    /// If the description has no name, the trait cannot be generated, or the file cannot be
    /// written.
    pub(super) async fn generate(&self, generator: TraitGenerator<'_>) -> Result<TraitSpec> {
        let description = self.description.as_deref().unwrap_or_default();
        let name = self.name_of(description)?;
        let spec = generator.generate(&name, description).await?;
        write_file(&self.generated, spec.to_yaml()?.as_bytes())?;
        eprintln!("The trait was written to {}: read it.", self.generated.display());
        Ok(spec)
    }

    fn read_file(&self, path: &Path, description: &str) -> Result<TraitSpec> {
        let text = read_text(path)?;
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = self
                .name
                .as_deref()
                .context("a trait file of the paper's format needs --trait NAME")?;
            return Ok(TraitSpec::parse_paper(name, description, &text)?);
        }
        Ok(TraitSpec::parse(&text)?)
    }

    fn generated_before(&self, description: &str) -> Result<Option<TraitSpec>> {
        let path = &self.generated;
        if !path.exists() {
            return Ok(None);
        }
        let spec =
            TraitSpec::parse(&read_text(path)?).with_context(|| path.display().to_string())?;
        if spec.name != self.name_of(description)? || spec.description != description {
            bail!(
                "{} exists already and has another description: remove it, or choose another --out",
                path.display()
            );
        }
        eprintln!("Using {}.", path.display());
        Ok(Some(spec))
    }

    /// Name of a trait that is given by its description.
    fn name_of(&self, description: &str) -> Result<String> {
        let name = match (&self.name, description.split_once(':')) {
            (Some(name), _) => name.clone(),
            (None, Some((name, _))) => name.trim().to_lowercase(),
            (None, None) => bail!(
                "start --description with the trait's name and a colon, \"grumpy: complains …\", \
                 or give --trait"
            ),
        };
        let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(is_label) {
            bail!(
                "{name:?} cannot be a trait's name: it must be an adjective of a-z, 0-9 and -, at \
                 most 63 characters long"
            );
        }
        Ok(name)
    }
}
