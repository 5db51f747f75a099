//! Vector files: fetched from their ConfigMaps, checked, and cached for as long as the
//! `PersonaVector` and what its file must be stay the same.

use super::artifact::Artifact;
use super::source::{Expected, Location, source};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{Digest, PersonaModel, PersonaVector, names};
use personaguard_persona::VectorFile;
use personaguard_resolve::Rejection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a rejected file is not fetched again.
const REJECTED_TTL: Duration = Duration::from_secs(5);

/// The file of a vector, or why it is not used.
pub(crate) type CheckedArtifact = Result<Arc<Artifact>, Rejection>;

struct Entry {
    uid: String,
    generation: i64,
    expected: Expected,
    at: Instant,
    checked: CheckedArtifact,
}

pub(crate) struct ArtifactCache {
    client: Client,
    /// The operator's namespace: the default for ConfigMaps.
    namespace: String,
    /// By vector.
    entries: Mutex<HashMap<String, Entry>>,
}

impl ArtifactCache {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, entries: Mutex::default() }
    }

    /// The checked file of a vector. Fails if the API server cannot be asked.
    pub(crate) async fn get(
        &self,
        vector: &PersonaVector,
        model: Option<&PersonaModel>,
    ) -> kube::Result<CheckedArtifact> {
        let (location, expected) = match source(vector, model, &self.namespace) {
            Ok(source) => source,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let uid = vector.uid().unwrap_or_default();
        let generation = vector.metadata.generation.unwrap_or(0);
        if let Some(entry) = self.entries().get(&vector.name_any()) {
            let fresh = entry.checked.is_ok() || entry.at.elapsed() < REJECTED_TTL;
            let same = entry.uid == uid && entry.generation == generation;
            if fresh && same && entry.expected == expected {
                return Ok(entry.checked.clone());
            }
        }
        let map = self.config_map(&location).await?;
        let checked = check(vector, &location, &expected, map);
        let at = Instant::now();
        let entry = Entry { uid, generation, expected, at, checked: checked.clone() };
        self.entries().insert(vector.name_any(), entry);
        Ok(checked)
    }

    /// The complete file of a vector, for Jobs that read it. Fails if the API server cannot be
    /// asked.
    pub(crate) async fn file(
        &self,
        vector: &PersonaVector,
        model: Option<&PersonaModel>,
    ) -> kube::Result<Result<VectorFile, Rejection>> {
        let (location, _) = match source(vector, model, &self.namespace) {
            Ok(source) => source,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let map = self.config_map(&location).await?;
        let bytes = map.and_then(|map| map.binary_data?.remove(&location.key));
        Ok(bytes.and_then(|bytes| VectorFile::parse(&bytes.0).ok()).ok_or_else(|| {
            let message =
                format!("the file of PersonaVector `{}` can no longer be read", vector.name_any());
            Rejection::new(reason::ARTIFACT_NOT_FOUND, message)
        }))
    }

    pub(crate) fn forget(&self, vector: &str) {
        self.entries().remove(vector);
    }

    async fn config_map(&self, location: &Location) -> kube::Result<Option<ConfigMap>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &location.namespace);
        api.get_opt(&location.config_map).await
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(
    vector: &PersonaVector,
    location: &Location,
    expected: &Expected,
    map: Option<ConfigMap>,
) -> CheckedArtifact {
    let Location { namespace, config_map: name, key } = location;
    if let Expected::Extracted(digest) = expected {
        let found =
            map.as_ref().and_then(|map| map.annotations().get(names::EXTRACTION_ANNOTATION));
        if found.map(String::as_str) != Some(digest.as_str()) {
            let message = "the vector has not been extracted yet";
            return Err(Rejection::new(reason::EXTRACTING, message));
        }
    }
    let not_found = |message| Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message));
    let Some(map) = map else {
        return not_found(format!(
            "ConfigMap {namespace}/{name} does not exist: create it, or correct \
             spec.artifact.configMap"
        ));
    };
    let Some(bytes) = map.binary_data.as_ref().and_then(|data| data.get(key)) else {
        return not_found(format!(
            "ConfigMap {namespace}/{name} has no key `{key}` in binaryData: create it with \
             `kubectl create configmap {name} --from-file={key}=FILE`"
        ));
    };
    let digest = Digest::of(&bytes.0);
    if let Expected::Imported(expected) = expected
        && digest != *expected
    {
        let message = format!(
            "the file has SHA-256 {digest}, but spec.sha256 of PersonaVector `{}` is {expected}: \
             put the right file into the ConfigMap, or correct spec.sha256",
            vector.name_any()
        );
        return Err(Rejection::new(reason::DIGEST_MISMATCH, message));
    }
    Artifact::parse(vector, &bytes.0, digest).map(Arc::new)
}
