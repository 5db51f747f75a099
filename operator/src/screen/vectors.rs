//! The vector files that the Jobs of a screening read.

use crate::context::Context;
use crate::keys::Kind;
use crate::unreadable;
use crate::vector::ArtifactCache;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use personaguard_api::conditions::reason;
use personaguard_api::{DatasetScreen, Layer, PersonaModel, names};
use personaguard_persona::VectorFile;
use personaguard_resolve::{MAX_CONFIG_BYTES, Rejection};
use std::collections::BTreeMap;

/// Files by name, as a ConfigMap has them.
type Files = BTreeMap<String, ByteString>;

/// The files of all vectors of a screening, or why one cannot be used. Fails if the API server
/// cannot be asked.
pub(super) async fn files(
    context: &Context,
    artifacts: &ArtifactCache,
    screen: &DatasetScreen,
    model: &PersonaModel,
) -> kube::Result<Result<Files, Rejection>> {
    let mut files = Files::new();
    for name in &screen.spec.vectors {
        match file(context, artifacts, name, model).await? {
            Ok(bytes) => files.insert(format!("{name}.safetensors"), bytes),
            Err(rejection) => return Ok(Err(rejection)),
        };
    }
    let size: usize = files.values().map(|file| file.0.len()).sum();
    if size > MAX_CONFIG_BYTES {
        let message = format!(
            "The vectors take {size} bytes, but a ConfigMap holds {MAX_CONFIG_BYTES}: use fewer."
        );
        return Ok(Err(Rejection::new(reason::CONFIG_TOO_LARGE, message)));
    }
    Ok(Ok(files))
}

async fn file(
    context: &Context,
    artifacts: &ArtifactCache,
    name: &str,
    model: &PersonaModel,
) -> kube::Result<Result<ByteString, Rejection>> {
    if let Some(unread) = context.stores.vectors.unreadable("", name) {
        let message = unreadable::message(Kind::Vector, name, &unread);
        return Ok(Err(Rejection::new(reason::UNREADABLE, message)));
    }
    let Some(vector) = context.stores.vectors.get("", name) else {
        let message = format!(
            "PersonaVector `{name}` does not exist: create it (kubectl get personavectors)"
        );
        return Ok(Err(Rejection::new(reason::VECTOR_NOT_FOUND, message)));
    };
    let usable = artifacts.get(&vector, Some(model)).await?.and_then(|artifact| {
        artifact.input.belongs_to(name, model)?;
        artifact.input.discriminates(name)?;
        Ok(artifact.input.layer)
    });
    let layer = match usable {
        Ok(layer) => layer,
        Err(rejection) => {
            let message = format!("PersonaVector `{name}` is not ready: {}", rejection.message);
            return Ok(Err(Rejection::new(reason::VECTOR_NOT_READY, message)));
        }
    };
    let file = artifacts.file(&vector, Some(model)).await?;
    Ok(file.and_then(|file| minimal(&file, layer)))
}

/// Only what a screening needs: the persona vector, with the layer in use as the best one.
fn minimal(file: &VectorFile, layer: Layer) -> Result<ByteString, Rejection> {
    let mut metadata = file.metadata().clone();
    metadata.best_layer = layer.0;
    VectorFile::new(metadata, file.response_avg().clone(), None, None)
        .and_then(|file| file.to_bytes())
        .map(ByteString)
        .map_err(|error| Rejection::new(reason::ARTIFACT_INVALID, error.to_string()))
}

pub(super) fn config_map(screen: &DatasetScreen, files: Files) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::for_screen(&screen.name_any())),
            namespace: screen.namespace(),
            labels: Some(BTreeMap::from([
                (names::SCREEN_LABEL.to_owned(), screen.name_any()),
                (names::MANAGED_BY_LABEL.to_owned(), names::FIELD_MANAGER.to_owned()),
            ])),
            owner_references: screen.owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(files),
        ..ConfigMap::default()
    }
}
