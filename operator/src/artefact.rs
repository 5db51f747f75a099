//! Vector files: fetched from their ConfigMaps, checked, and kept as long as the `PersonaVector` stays the same.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use personaguard_crds::conditions::reason;
use personaguard_crds::resolve::{Rejection, VectorInput};
use personaguard_crds::{Calibration, Digest, Layer, PersonaVector, SampleCounts};
use personaguard_persona::{VectorFile, norm};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a file that was refused is not fetched again.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A vector file that was read and checked against its `PersonaVector`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Artefact {
    pub(crate) input: VectorInput,
    pub(crate) norm: f64,
    pub(crate) method: String,
    pub(crate) samples: SampleCounts,
    /// Held-out AUROC at the layer.
    pub(crate) auroc: Option<f64>,
}

type Checked = Result<Arc<Artefact>, Rejection>;

struct Kept {
    uid: String,
    generation: i64,
    at: Instant,
    checked: Checked,
}

/// The files of all vectors, by name.
pub(crate) struct Artefacts {
    client: Client,
    /// Namespace of ConfigMaps for which none is given.
    namespace: String,
    kept: Mutex<HashMap<String, Kept>>,
}

impl Artefacts {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, kept: Mutex::default() }
    }

    /// The file of a vector, or why it is not used.
    ///
    /// # Errors
    /// If the API server could not be asked.
    pub(crate) async fn of(&self, vector: &PersonaVector) -> kube::Result<Checked> {
        let (uid, generation) = (vector.uid().unwrap_or_default(), vector.metadata.generation.unwrap_or(0));
        if let Some(kept) = self.lock().get(&vector.name_any()) {
            let fresh = kept.checked.is_ok() || kept.at.elapsed() < REFUSED_FOR;
            if fresh && kept.uid == uid && kept.generation == generation {
                return Ok(kept.checked.clone());
            }
        }
        let checked = self.fetch(vector).await?;
        let kept = Kept { uid, generation, at: Instant::now(), checked: checked.clone() };
        self.lock().insert(vector.name_any(), kept);
        Ok(checked)
    }

    pub(crate) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    async fn fetch(&self, vector: &PersonaVector) -> kube::Result<Checked> {
        let source = &vector.spec.artifact.config_map;
        let namespace = source.namespace.as_deref().unwrap_or(&self.namespace);
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let Some(map) = api.get_opt(&source.name).await? else {
            let message = format!(
                "ConfigMap {namespace}/{} does not exist: create it, or correct spec.artifact.configMap",
                source.name
            );
            return Ok(Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message)));
        };
        let Some(bytes) = map.binary_data.as_ref().and_then(|data| data.get(&source.key)) else {
            let message = format!(
                "ConfigMap {namespace}/{} has no key `{}` in binaryData: create it with `kubectl create configmap {} --from-file={}=FILE`",
                source.name, source.key, source.name, source.key
            );
            return Ok(Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message)));
        };
        Ok(check(vector, &bytes.0).map(Arc::new))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a vector file against what its `PersonaVector` says.
fn check(vector: &PersonaVector, bytes: &[u8]) -> Result<Artefact, Rejection> {
    let name = vector.name_any();
    let found = Digest::of(bytes);
    if found != vector.spec.sha256 {
        let message = format!(
            "the file has SHA-256 {found}, and spec.sha256 of PersonaVector `{name}` is {}: put the right file into the ConfigMap, or correct spec.sha256",
            vector.spec.sha256
        );
        return Err(Rejection::new(reason::DIGEST_MISMATCH, message));
    }
    let invalid = |message: String| Rejection::new(reason::ARTIFACT_INVALID, message);
    let file = VectorFile::parse(bytes).map_err(|error| {
        invalid(format!(
            "the file of PersonaVector `{name}` cannot be used: {error}. Make it with `personaguard extract`."
        ))
    })?;
    let layer = vector.spec.layer.unwrap_or(Layer(file.best_layer()));
    VectorInput::check(vector, file.trait_name(), file.layers(), layer)?;
    let values = file.layer(layer.0).ok_or_else(|| invalid(format!("the file lacks layer {layer}")))?;
    let model_digest =
        file.model_digest().parse().map_err(|error| invalid(format!("its model digest is none: {error}")))?;
    let calibration = file.calibration(layer.0).map(|calibration| Calibration {
        count: calibration.count,
        mean: calibration.mean,
        standard_deviation: calibration.standard_deviation,
        sorted: calibration.sorted.clone(),
    });
    let counts = file.counts();
    Ok(Artefact {
        norm: norm(values),
        method: file.method().to_owned(),
        samples: SampleCounts { positive: counts.positive, negative: counts.negative },
        auroc: file.auroc(layer.0),
        input: VectorInput {
            trait_name: vector.spec.trait_name.clone(),
            layer,
            model_digest,
            values: values.to_vec(),
            calibration,
        },
    })
}
