//! What extraction Jobs deliver: how far they are, and the vector file, which goes into a
//! ConfigMap. A Job's pod is known by its token, as a sidecar is; it needs no rights of its own in
//! the cluster.

use crate::context::{Context, Key};
use crate::fleet::identity::Identity;
use crate::fleet::intake::Answer;
use crate::vector::extraction::{self, Worker};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::ObjectMeta;
use kube::{Api, Resource as _, ResourceExt as _};
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_persona::VectorFile;
use personaguard_wire::ExtractionProgress;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Job controller's annotation of which part a pod does.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The extraction that a pod works for.
struct Extraction {
    vector: Arc<PersonaVector>,
    model: Arc<PersonaModel>,
    digest: Digest,
    worker: Worker,
}

/// Takes word of how far a Job is.
pub(crate) async fn progress(
    context: &Context,
    identity: &Identity,
    body: &[u8],
) -> Result<(), Answer> {
    let progress: ExtractionProgress =
        serde_json::from_slice(body).map_err(|error| Answer::Malformed(error.to_string()))?;
    let Extraction { vector, worker, .. } = of(context, identity).await?;
    let name = vector.name_any();
    context.extractions.tell(&name, worker, progress);
    context.queue.push(Key::Vector(name));
    Ok(())
}

/// Takes a vector file.
pub(crate) async fn vector(
    context: &Context,
    identity: &Identity,
    body: &[u8],
) -> Result<(), Answer> {
    let Extraction { vector, model, digest, .. } = of(context, identity).await?;
    check(body, &vector, &model).map_err(Answer::Malformed)?;
    let name = vector.name_any();
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(names::for_extraction(&name)),
            namespace: Some(identity.namespace.clone()),
            labels: Some(BTreeMap::from([
                (names::VECTOR_LABEL.to_owned(), name.clone()),
                ("app.kubernetes.io/managed-by".to_owned(), names::FIELD_MANAGER.to_owned()),
            ])),
            annotations: Some(BTreeMap::from([(
                names::EXTRACTION_ANNOTATION.to_owned(),
                digest.to_string(),
            )])),
            owner_references: vector.owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([(
            names::VECTOR_KEY.to_owned(),
            ByteString(body.to_vec()),
        )])),
        ..ConfigMap::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(context.cluster.client.clone(), &identity.namespace);
    context.cluster.apply(&api, &names::for_extraction(&name), &map).await.map_err(|error| {
        tracing::warn!(vector = name, %error, "a vector could not be kept; its Job comes again");
        Answer::Overloaded
    })?;
    tracing::info!(vector = name, "a vector was extracted");
    context.artefacts.forget(&name);
    context.extractions.forget(&name);
    context.queue.push(Key::Vector(name));
    Ok(())
}

/// A file that its `PersonaVector` can use.
fn check(body: &[u8], vector: &PersonaVector, model: &PersonaModel) -> Result<(), String> {
    let file = VectorFile::parse(body).map_err(|error| error.to_string())?;
    if file.trait_name() != vector.spec.trait_name {
        return Err(format!(
            "the file is for trait {}, not {}",
            file.trait_name(),
            vector.spec.trait_name
        ));
    }
    if file.model_digest() != model.spec.sha256.as_str() {
        return Err(format!(
            "the weights in the model's volume have SHA-256 {}, and PersonaModel {} names {}: correct spec.sha256 or the volume",
            file.model_digest(),
            model.name_any(),
            model.spec.sha256
        ));
    }
    Ok(())
}

async fn of(context: &Context, identity: &Identity) -> Result<Extraction, Answer> {
    let foreign = || Answer::Forbidden(format!("pod {} is of no extraction Job", identity.pod));
    if identity.namespace != context.settings.place.namespace {
        return Err(foreign());
    }
    let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &identity.namespace);
    let pod = api
        .get_metadata_opt(&identity.pod)
        .await
        .map_err(|_| Answer::Overloaded)?
        .ok_or(Answer::Gone)?;
    if pod.uid().as_ref() != Some(&identity.uid) {
        return Err(Answer::Gone);
    }
    let name = pod.labels().get(names::VECTOR_LABEL).ok_or_else(foreign)?;
    let owned = |job: String| {
        pod.owner_references().iter().any(|owner| owner.kind == "Job" && owner.name == job)
    };
    let worker = if owned(names::for_extraction_merge(name)) {
        Worker::Merge
    } else if owned(names::for_extraction(name)) {
        let index = pod.annotations().get(COMPLETION_INDEX).and_then(|index| index.parse().ok());
        Worker::Shard(index.unwrap_or(0))
    } else {
        return Err(foreign());
    };
    let vector = context.world.vectors.get("", name).ok_or(Answer::Gone)?;
    let model = context.world.models.get("", &vector.spec.model).ok_or(Answer::Gone)?;
    let digest = extraction::digest(&vector, &model);
    // Of a spec that is no more.
    if pod.annotations().get(names::EXTRACTION_ANNOTATION).map(String::as_str)
        != Some(digest.as_str())
    {
        return Err(Answer::Gone);
    }
    Ok(Extraction { vector, model, digest, worker })
}
