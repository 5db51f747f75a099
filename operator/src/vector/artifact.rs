//! A vector file that was read and checked against its `PersonaVector`. Pure.

use kube::ResourceExt;
use personaguard_api::conditions::reason;
use personaguard_api::{Calibration, Digest, Layer, PersonaVector, SampleCounts, SteeringStep};
use personaguard_persona::{self as persona, SteeringPoint, VectorFile, norm};
use personaguard_resolve::{Rejection, VectorInput};
use personaguard_wire::MadeOn;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Artifact {
    pub(crate) input: VectorInput,
    pub(crate) norm: f64,
    pub(crate) method: String,
    pub(crate) samples: SampleCounts,
    /// Held-out AUROC at the layer.
    pub(crate) auroc: Option<f64>,
    /// Dose response at the layer, and whether it is monotonic.
    pub(crate) steering: Vec<SteeringStep>,
    pub(crate) steers: Option<bool>,
    /// SHA-256 of the file.
    pub(crate) digest: Digest,
}

impl Artifact {
    pub(super) fn parse(
        vector: &PersonaVector,
        bytes: &[u8],
        digest: Digest,
    ) -> Result<Self, Rejection> {
        let name = vector.name_any();
        let invalid = |message: String| Rejection::new(reason::ARTIFACT_INVALID, message);
        let file = VectorFile::parse(bytes).map_err(|error| {
            invalid(format!(
                "the file of PersonaVector `{name}` cannot be used: {error}. Make it with \
                 `personaguard extract`."
            ))
        })?;
        let layer = vector.spec.layer.unwrap_or(Layer(file.best_layer()));
        VectorInput::check(vector, file.trait_name(), file.layers(), layer)?;
        let values =
            file.layer(layer.0).ok_or_else(|| invalid(format!("the file lacks layer {layer}")))?;
        let counts = file.counts();
        Ok(Self {
            norm: norm(values),
            method: file.method().to_owned(),
            samples: SampleCounts { positive: counts.positive, negative: counts.negative },
            auroc: file.auroc(layer.0),
            steering: file.steering(layer.0).iter().map(step).collect(),
            steers: file.steers_at(layer.0),
            input: input(vector, &file, layer, values).map_err(invalid)?,
            digest,
        })
    }
}

fn input(
    vector: &PersonaVector,
    file: &VectorFile,
    layer: Layer,
    values: &[f32],
) -> Result<VectorInput, String> {
    let model_digest = file
        .model_digest()
        .parse()
        .map_err(|error| format!("its model digest is not a digest: {error}"))?;
    let calibration = file.calibration(layer.0).map(|calibration| Calibration {
        count: calibration.count,
        mean: calibration.mean,
        standard_deviation: calibration.standard_deviation,
        sorted: calibration.sorted.clone(),
    });
    Ok(VectorInput {
        trait_name: vector.spec.trait_name.clone(),
        layer,
        model_digest,
        made_on: made_on(file),
        values: values.to_vec(),
        layers: file.response_avg().rows().map(<[f32]>::to_vec).collect(),
        calibration,
        not_discriminative: !vector.spec.allow_not_discriminative
            && file.discriminates(layer.0) == Some(false),
        does_not_steer: !vector.spec.allow_not_steering && file.steers_at(layer.0) == Some(false),
    })
}

/// How the weights were served that it was made on, as sidecars are told it.
fn made_on(file: &VectorFile) -> Option<MadeOn> {
    let persona::MadeOn { engine, version, plugin, dtype, quantization, adapter } =
        file.metadata().made_on.clone()?;
    Some(MadeOn { engine, version, plugin, dtype, quantization, adapter })
}

fn step(point: &SteeringPoint) -> SteeringStep {
    let SteeringPoint { coefficient, response_avg, likelihood_ratio, answers } = *point;
    SteeringStep { coefficient, response_avg, likelihood_ratio, answers }
}
