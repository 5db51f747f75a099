//! Keeps the status of `PersonaVector`s up to date, runs their extraction, and receives its
//! results.

use super::artifact_cache::ArtifactCache;
use super::extraction;
use super::progress::{PodRole, Progress};
use super::source::extraction_digest;
use super::status::status;
use crate::certs::TrustBundle;
use crate::context::Context;
use crate::keys::Key;
use crate::objects::same_content;
use crate::outcome::{Done, ReconcileError, WriteError};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use kube::{Api, Resource as _, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{PersonaModel, PersonaVector, names, with_causes};
use personaguard_persona::VectorFile;
use personaguard_resolve::Rejection;
use personaguard_wire::ExtractionProgress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between checks of a file that is missing or not usable: no event says when it changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct Controller {
    context: Arc<Context>,
    artifacts: Arc<ArtifactCache>,
    trust_bundle: TrustBundle,
    progress: Progress,
}

/// Why an extracted vector file was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Controller {
    pub(crate) fn new(
        context: Arc<Context>,
        artifacts: Arc<ArtifactCache>,
        trust_bundle: TrustBundle,
    ) -> Self {
        Self { context, artifacts, trust_bundle, progress: Progress::default() }
    }

    pub(crate) async fn reconcile(&self, name: &str) -> Result<Done, ReconcileError> {
        let context = &self.context;
        let Some(vector) = context.stores.vectors.get("", name) else {
            self.artifacts.forget(name);
            self.progress.forget(name);
            return Ok(Done::until_change("Deleted"));
        };
        let unread = |vector: &str, model: &str| {
            let stores = &context.stores;
            stores.vectors.unreadable("", vector).or_else(|| stores.models.unreadable("", model))
        };
        if unread(name, &vector.spec.model).is_some() {
            return Ok(Done::until_change(reason::UNREADABLE));
        }
        let model = context.stores.models.get("", &vector.spec.model);
        let mut refused = None;
        let mut checked = self.artifacts.get(&vector, model.as_deref()).await?;
        if let (Err(rejection), Some(model)) = (&checked, &model)
            && rejection.reason == reason::EXTRACTING
        {
            let authorities = self.trust_bundle.pem();
            let advanced =
                extraction::advance(context, &self.progress, &authorities, &vector, model).await;
            checked = Err(match advanced {
                // The status goes on, and says so.
                Err(ReconcileError::Write(error)) if error.refusal().is_some() => {
                    let message = with_causes(&error);
                    refused = Some(error);
                    Rejection::new(reason::WRITE_REFUSED, message)
                }
                advanced => advanced?,
            });
        }
        let progress = self.progress.of(name);
        let status = status(&vector, &checked, model.as_deref(), progress, Timestamp::now());
        if vector.status.as_ref() != Some(&status) {
            let api: Api<PersonaVector> = context.cluster.all();
            context.write_status(&api, &context.stores.vectors, name, &status).await?;
            context.queue_scopes_of_model(&vector.spec.model);
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        let Some(ready) = status.conditions.into_iter().next() else {
            return Ok(Done::until_change(""));
        };
        let requeue_after = (ready.status == "False").then_some(CHECK_INTERVAL);
        Ok(Done { reason: ready.reason, requeue_after })
    }

    /// Records how far a pod of an extraction is.
    pub(crate) fn record_progress(&self, vector: &str, role: PodRole, step: ExtractionProgress) {
        self.progress.record(vector, role, step);
        self.context.queue.push(Key::Vector(vector.to_owned()));
    }

    /// Stores the vector file that an extraction delivers.
    pub(crate) async fn store_extracted(
        &self,
        vector: &PersonaVector,
        model: &PersonaModel,
        file: &[u8],
    ) -> Result<(), DeliveryError> {
        validate(file, vector, model).map_err(DeliveryError::Invalid)?;
        let (name, namespace) = (vector.name_any(), &self.context.settings.installation.namespace);
        let api: Api<ConfigMap> = self.context.cluster.namespaced(namespace);
        let map = config_map(namespace, vector, model, file);
        let right = |it: &ConfigMap| same_content(it, &map);
        self.context.cluster.apply_or_make_anew(&api, &map, right).await?;
        tracing::info!(vector = name, "a vector was extracted");
        self.artifacts.forget(&name);
        self.progress.forget(&name);
        self.context.queue.push(Key::Vector(name));
        Ok(())
    }
}

/// Whether an extracted file is what its `PersonaVector` asks for.
fn validate(file: &[u8], vector: &PersonaVector, model: &PersonaModel) -> Result<(), String> {
    let file = VectorFile::parse(file).map_err(|error| error.to_string())?;
    if file.trait_name() != vector.spec.trait_name {
        return Err(format!(
            "the file is for trait {}, not {}",
            file.trait_name(),
            vector.spec.trait_name
        ));
    }
    if file.model_digest() != model.spec.sha256.as_str() {
        return Err(format!(
            "the weights in the model's volume have SHA-256 {}, but PersonaModel {} says {}: \
             correct spec.sha256 or the volume",
            file.model_digest(),
            model.name_any(),
            model.spec.sha256
        ));
    }
    Ok(())
}

fn config_map(
    namespace: &str,
    vector: &PersonaVector,
    model: &PersonaModel,
    file: &[u8],
) -> ConfigMap {
    let name = vector.name_any();
    let labels = BTreeMap::from([
        (names::VECTOR_LABEL.to_owned(), name.clone()),
        (names::MANAGED_BY_LABEL.to_owned(), names::FIELD_MANAGER.to_owned()),
    ]);
    let digest = extraction_digest(vector, model).to_string();
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::for_extraction(&name)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(names::EXTRACTION_ANNOTATION.to_owned(), digest)])),
            owner_references: vector.owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([(
            names::VECTOR_KEY.to_owned(),
            ByteString(file.to_vec()),
        )])),
        ..ConfigMap::default()
    }
}
