//! Progress and results of extraction Jobs. Their pods are identified like sidecars, so they need
//! no rights of their own in the cluster.

use super::error::PushError;
use super::identity::PodIdentity;
use crate::context::Context;
use crate::vector::{Controller, DeliveryError, PodRole, extraction_digest};
use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt as _};
use personaguard_api::{PersonaModel, PersonaVector, names, with_causes};
use personaguard_wire::ExtractionProgress;
use std::sync::Arc;

/// Annotation of the Job controller: which part a pod does.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) async fn accept_progress(
    context: &Context,
    vectors: &Controller,
    identity: &PodIdentity,
    body: &[u8],
) -> Result<(), PushError> {
    let progress: ExtractionProgress =
        serde_json::from_slice(body).map_err(|error| PushError::Malformed(error.to_string()))?;
    let Extraction { vector, role, .. } = extraction_of(context, identity).await?;
    vectors.record_progress(&vector.name_any(), role, progress);
    Ok(())
}

pub(super) async fn accept_vector(
    context: &Context,
    vectors: &Controller,
    identity: &PodIdentity,
    body: &[u8],
) -> Result<(), PushError> {
    let Extraction { vector, model, .. } = extraction_of(context, identity).await?;
    vectors.store_extracted(&vector, &model, body).await.map_err(|error| match error {
        DeliveryError::Invalid(why) => PushError::Malformed(why),
        DeliveryError::Write(error) => {
            let (vector, error) = (vector.name_any(), with_causes(&error));
            tracing::warn!(vector, error, "a vector could not be stored; its Job retries");
            PushError::Overloaded
        }
    })
}

/// The extraction that a pod works for.
struct Extraction {
    vector: Arc<PersonaVector>,
    model: Arc<PersonaModel>,
    role: PodRole,
}

/// Whether a pod may be one of an extraction: their Jobs are in the operator's namespace alone.
pub(super) fn check_namespace(context: &Context, identity: &PodIdentity) -> Result<(), PushError> {
    if identity.namespace != context.settings.installation.namespace {
        return Err(foreign(identity));
    }
    Ok(())
}

fn foreign(identity: &PodIdentity) -> PushError {
    PushError::Forbidden(format!("pod {} belongs to no extraction Job", identity.name))
}

async fn extraction_of(context: &Context, identity: &PodIdentity) -> Result<Extraction, PushError> {
    check_namespace(context, identity)?;
    let foreign = || foreign(identity);
    let pod = existing_pod(context, identity).await?;
    let name = pod.labels().get(names::VECTOR_LABEL).ok_or_else(foreign)?;
    let role = role(&pod, name).ok_or_else(foreign)?;
    let vector = context.stores.vectors.get("", name).ok_or(PushError::Gone)?;
    let model = context.stores.models.get("", &vector.spec.model).ok_or(PushError::Gone)?;
    // Its Job may be for an older spec.
    let digest = pod.annotations().get(names::EXTRACTION_ANNOTATION).map(String::as_str);
    if digest != Some(extraction_digest(&vector, &model).as_str()) {
        return Err(PushError::Gone);
    }
    Ok(Extraction { vector, model, role })
}

async fn existing_pod(
    context: &Context,
    identity: &PodIdentity,
) -> Result<PartialObjectMeta<Pod>, PushError> {
    let api: Api<Pod> = context.cluster.namespaced(&identity.namespace);
    let pod = api.get_metadata_opt(&identity.name).await.map_err(|_| PushError::Overloaded)?;
    pod.filter(|pod| pod.uid().as_ref() == Some(&identity.uid)).ok_or(PushError::Gone)
}

/// By the Job that owns the pod.
fn role(pod: &PartialObjectMeta<Pod>, vector: &str) -> Option<PodRole> {
    let owned_by = |job: String| {
        pod.owner_references().iter().any(|owner| owner.kind == "Job" && owner.name == job)
    };
    if owned_by(names::for_extraction_merge(vector)) {
        Some(PodRole::Merge)
    } else if owned_by(names::for_extraction(vector)) {
        let index = pod.annotations().get(COMPLETION_INDEX).and_then(|index| index.parse().ok());
        Some(PodRole::Shard(index.unwrap_or(0)))
    } else {
        None
    }
}
