//! Vector files: fetched from their ConfigMaps, checked, and kept as long as the `PersonaVector`
//! (and, of one that is extracted, its model) stays the same.

use crate::vector::extraction;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use personaguard_api::conditions::reason;
use personaguard_api::{
    Calibration, Digest, Layer, PersonaModel, PersonaVector, SampleCounts, SteeringStep, names,
};
use personaguard_persona::{SteeringPoint, VectorFile, norm};
use personaguard_resolve::{Rejection, VectorInput};
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
    /// Answers under steering at the layer, and whether they follow it.
    pub(crate) steering: Vec<SteeringStep>,
    pub(crate) steers: Option<bool>,
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
}

/// What the file of a vector must be.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    /// The one that the user names.
    File(Digest),
    /// What the Job of this extraction delivered.
    Extraction(Digest),
}

/// Where a file is.
struct Place {
    namespace: String,
    map: String,
    key: String,
}

type Checked = Result<Arc<Artefact>, Rejection>;

struct Kept {
    uid: String,
    generation: i64,
    expected: Expected,
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
    pub(crate) async fn of(
        &self,
        vector: &PersonaVector,
        model: Option<&PersonaModel>,
    ) -> kube::Result<Checked> {
        let (place, expected) = match self.wanted(vector, model) {
            Ok(wanted) => wanted,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (uid, generation) =
            (vector.uid().unwrap_or_default(), vector.metadata.generation.unwrap_or(0));
        if let Some(kept) = self.lock().get(&vector.name_any()) {
            let fresh = kept.checked.is_ok() || kept.at.elapsed() < REFUSED_FOR;
            if fresh
                && kept.uid == uid
                && kept.generation == generation
                && kept.expected == expected
            {
                return Ok(kept.checked.clone());
            }
        }
        let checked = self.fetch(vector, &place, &expected).await?;
        let kept = Kept { uid, generation, expected, at: Instant::now(), checked: checked.clone() };
        self.lock().insert(vector.name_any(), kept);
        Ok(checked)
    }

    /// The whole file of a vector, for Jobs that read it.
    ///
    /// # Errors
    /// If the API server could not be asked.
    pub(crate) async fn file(
        &self,
        vector: &PersonaVector,
        model: Option<&PersonaModel>,
    ) -> kube::Result<Result<VectorFile, Rejection>> {
        let (Place { namespace, map, key }, _) = match self.wanted(vector, model) {
            Ok(wanted) => wanted,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &namespace);
        let found = api.get_opt(&map).await?.and_then(|found| found.binary_data?.remove(&key));
        Ok(found.and_then(|bytes| VectorFile::parse(&bytes.0).ok()).ok_or_else(|| {
            let message = format!(
                "the file of PersonaVector `{}` cannot be read any more",
                vector.name_any()
            );
            Rejection::new(reason::ARTIFACT_NOT_FOUND, message)
        }))
    }

    pub(crate) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn wanted(
        &self,
        vector: &PersonaVector,
        model: Option<&PersonaModel>,
    ) -> Result<(Place, Expected), Rejection> {
        let spec = &vector.spec;
        if let (Some(artifact), Some(sha256)) = (&spec.artifact, &spec.sha256) {
            let map = &artifact.config_map;
            let namespace = map.namespace.clone().unwrap_or_else(|| self.namespace.clone());
            let place = Place { namespace, map: map.name.clone(), key: map.key.clone() };
            return Ok((place, Expected::File(sha256.clone())));
        }
        let model = model.ok_or_else(|| no_model(&spec.model))?;
        let place = Place {
            namespace: self.namespace.clone(),
            map: names::for_extraction(&vector.name_any()),
            key: names::VECTOR_KEY.to_owned(),
        };
        Ok((place, Expected::Extraction(extraction::digest(vector, model))))
    }

    async fn fetch(
        &self,
        vector: &PersonaVector,
        place: &Place,
        expected: &Expected,
    ) -> kube::Result<Checked> {
        let Place { namespace, map: name, key } = place;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await?;
        if let Expected::Extraction(digest) = expected {
            let made =
                found.as_ref().and_then(|map| map.annotations().get(names::EXTRACTION_ANNOTATION));
            if made.map(String::as_str) != Some(digest.as_str()) {
                return Ok(Err(Rejection::new(
                    reason::EXTRACTING,
                    "the vector has not been extracted yet",
                )));
            }
        }
        let Some(map) = found else {
            let message = format!(
                "ConfigMap {namespace}/{name} does not exist: create it, or correct spec.artifact.configMap"
            );
            return Ok(Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message)));
        };
        let Some(bytes) = map.binary_data.as_ref().and_then(|data| data.get(key)) else {
            let message = format!(
                "ConfigMap {namespace}/{name} has no key `{key}` in binaryData: create it with `kubectl create configmap {name} --from-file={key}=FILE`"
            );
            return Ok(Err(Rejection::new(reason::ARTIFACT_NOT_FOUND, message)));
        };
        let digest = Digest::of(&bytes.0);
        if let Expected::File(named) = expected
            && digest != *named
        {
            let message = format!(
                "the file has SHA-256 {digest}, and spec.sha256 of PersonaVector `{}` is {named}: put the right file into the ConfigMap, or correct spec.sha256",
                vector.name_any()
            );
            return Ok(Err(Rejection::new(reason::DIGEST_MISMATCH, message)));
        }
        Ok(check(vector, &bytes.0, digest).map(Arc::new))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a vector's model is not there.
pub(crate) fn no_model(name: &str) -> Rejection {
    let message = format!(
        "PersonaModel `{name}` does not exist: create it, or correct spec.model (kubectl get personamodels)"
    );
    Rejection::new(reason::MODEL_NOT_FOUND, message)
}

/// Reads a vector file against what its `PersonaVector` says.
fn check(vector: &PersonaVector, bytes: &[u8], digest: Digest) -> Result<Artefact, Rejection> {
    let name = vector.name_any();
    let invalid = |message: String| Rejection::new(reason::ARTIFACT_INVALID, message);
    let file = VectorFile::parse(bytes).map_err(|error| {
        invalid(format!(
            "the file of PersonaVector `{name}` cannot be used: {error}. Make it with `personaguard extract`."
        ))
    })?;
    let layer = vector.spec.layer.unwrap_or(Layer(file.best_layer()));
    VectorInput::check(vector, file.trait_name(), file.layers(), layer)?;
    let values =
        file.layer(layer.0).ok_or_else(|| invalid(format!("the file lacks layer {layer}")))?;
    let model_digest = file
        .model_digest()
        .parse()
        .map_err(|error| invalid(format!("its model digest is none: {error}")))?;
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
        steering: file.steering(layer.0).iter().map(step).collect(),
        steers: file.steers_at(layer.0),
        input: VectorInput {
            trait_name: vector.spec.trait_name.clone(),
            layer,
            model_digest,
            values: values.to_vec(),
            layers: file.response_avg().rows().map(<[f32]>::to_vec).collect(),
            calibration,
            not_discriminative: !vector.spec.allow_not_discriminative
                && file.discriminates(layer.0) == Some(false),
            does_not_steer: !vector.spec.allow_not_steering
                && file.steers_at(layer.0) == Some(false),
        },
        digest,
    })
}

fn step(rung: &SteeringPoint) -> SteeringStep {
    let SteeringPoint { coefficient, response_avg, likelihood_ratio, answers } = *rung;
    SteeringStep { coefficient, response_avg, likelihood_ratio, answers }
}
