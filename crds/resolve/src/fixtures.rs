//! A model, its vectors and policies, for tests.

use crate::vector::VectorInput;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use personaguard_api::{
    ActionKind, Calibration, Device, Digest, Evidence, FailurePolicy, ImageSource, Layer, Mode,
    ModelEngine, ModelSource, PersonaModel, PersonaModelSpec, PersonaPolicy, PersonaPolicySpec,
    Placement, Runtime, Threshold, TraitRule,
};
use std::collections::BTreeMap;

pub(crate) fn model() -> PersonaModel {
    let source = ModelSource {
        image: Some(ImageSource {
            reference: "localhost/smollm2:1".into(),
            pull_policy: None,
            path: "model.gguf".into(),
        }),
        persistent_volume_claim: None,
        hub: None,
    };
    let runtime = Runtime { device: Device::Cpu, ..Runtime::default() };
    PersonaModel::new(
        "smollm2",
        PersonaModelSpec {
            engine: ModelEngine::Own,
            source: Some(source),
            vllm: None,
            sha256: Digest::of(b"weights"),
            aliases: vec!["gpt-4o-mini".into()],
            runtime,
        },
    )
}

/// The same model, run by vLLM.
pub(crate) fn vllm_model() -> PersonaModel {
    let mut model = model();
    (model.spec.engine, model.spec.source) = (ModelEngine::Vllm, None);
    model
}

fn vector(count: u32) -> VectorInput {
    let sorted = (0..count.min(1001))
        .map(|i| f64::from(i) * f64::from(count - 1) / f64::from(count.min(1001) - 1));
    VectorInput {
        trait_name: "evil".into(),
        layer: Layer(15),
        model_digest: Digest::of(b"weights"),
        made_on: None,
        values: vec![1.0, 2.0],
        layers: (0..=20_u8).map(|layer| vec![f32::from(layer), 2.0]).collect(),
        calibration: Some(Calibration {
            count,
            mean: 1.0,
            standard_deviation: 0.5,
            sorted: sorted.collect(),
        }),
        not_discriminative: false,
        does_not_steer: false,
    }
}

pub(crate) fn vectors() -> BTreeMap<String, VectorInput> {
    BTreeMap::from([("evil".to_owned(), vector(200)), ("sycophantic".to_owned(), vector(2000))])
}

pub(crate) fn rule(vector: &str, threshold: Threshold, action: ActionKind) -> TraitRule {
    let bare = serde_json::json!({ "vector": vector, "action": action });
    TraitRule { threshold: Some(threshold), ..serde_json::from_value(bare).unwrap() }
}

pub(crate) fn sigma(sigma: f64) -> Threshold {
    Threshold { sigma: Some(sigma), ..Threshold::default() }
}

pub(crate) fn policy(name: &str, app: &str, traits: Vec<TraitRule>) -> PersonaPolicy {
    let spec = PersonaPolicySpec {
        mode: Mode::Enforce,
        selector: LabelSelector {
            match_labels: Some(BTreeMap::from([("app".to_owned(), app.to_owned())])),
            match_expressions: None,
        },
        model: "smollm2".into(),
        traits,
        placement: Placement::Serve,
        port: None,
        failure_policy: FailurePolicy::Open,
        unscorable_requests: None,
        evidence: Evidence::default(),
        sampling: None,
        calibration: None,
        record_conversations: false,
        recover_after_seconds: 600,
    };
    let mut policy = PersonaPolicy::new(name, spec);
    policy.metadata.generation = Some(3);
    policy.metadata.uid = Some(format!("uid-{name}"));
    policy
}
