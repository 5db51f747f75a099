//! A config folder of plain manifests: the files that `kubectl apply` takes, with the vector files
//! beside them.

mod files;
mod vector;

use super::error::ConfigError;
use super::source::Config;
use files::{Manifests, read};
use personaguard_api::PersonaModel;
use personaguard_resolve::resolve;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads a folder of manifests: one PersonaModel, and the vectors and policies that name it.
pub(super) fn load(folder: &Path) -> Result<Config, ConfigError> {
    let Manifests { models, vectors, policies } = read(folder)?;
    let [model] = models.as_slice() else {
        return Err(ConfigError::Rejected(format!(
            "{} holds {} PersonaModels, and one is served: put the manifests of one model there, \
             or a config.yaml",
            folder.display(),
            models.len()
        )));
    };
    let name = model.metadata.name.as_deref().unwrap_or_default();
    let mut inputs = BTreeMap::new();
    for vector in vectors.iter().filter(|vector| vector.spec.model == name) {
        let name = vector.metadata.name.clone().unwrap_or_default();
        inputs.insert(name, vector::read(folder, vector)?);
    }
    let mut policies: Vec<_> =
        policies.into_iter().filter(|policy| policy.spec.model == name).collect();
    for policy in &mut policies {
        policy.metadata.generation.get_or_insert(1);
    }
    let resolution = resolve(model, &inputs, &policies);
    // All policies or none: nobody should believe in a policy that is not there.
    if let Some((policy, rejection)) = resolution.rejected.first_key_value() {
        return Err(ConfigError::Rejected(format!(
            "PersonaPolicy {policy}: {} ({})",
            rejection.message, rejection.reason
        )));
    }
    let vectors = resolution.values.into_iter().map(|(name, values)| (name, Ok(Arc::from(values))));
    Ok(Config {
        model_file: weight_file(folder, model),
        guard: resolution.config,
        vectors: vectors.collect(),
    })
}

/// The weight file in the folder with the file name of the model's source; else what to do.
fn weight_file(folder: &Path, model: &PersonaModel) -> Result<PathBuf, String> {
    let Some(source) = &model.spec.source else {
        let name = model.metadata.name.as_deref().unwrap_or_default();
        return Err(format!(
            "PersonaModel {name} has engine Vllm, and vLLM has its weights: start in front of vLLM \
             (--upstream URL --engine-socket FILE)"
        ));
    };
    let path = source.path();
    let beside = Path::new(&path).file_name().map(|name| folder.join(name));
    beside.filter(|file| file.exists()).ok_or_else(|| {
        let todo = source.hub.as_ref().map_or_else(
            || "give --model FILE".to_owned(),
            |hub| {
                let file = hub.file.as_ref().map(|file| format!(" --file {file}"));
                format!(
                    "fetch them (personaguard fetch {} --revision {}{} --to DIR), and give the \
                     path that it prints as --model",
                    hub.repo,
                    hub.revision,
                    file.unwrap_or_default()
                )
            },
        );
        format!("the manifests do not say where the weights are on this computer: {todo}")
    })
}
