//! What the tests of the pure steps start from.

use super::dereference::Inputs;
use crate::artefact::Artefact;
use crate::context::Scope;
use crate::pods::PodView;
use personaguard_api::{
    Digest, Layer, PersonaModel, PersonaPolicy, PodCounts, PodState, PolicyAcknowledgement,
    SampleCounts, Totals,
};
use personaguard_resolve::VectorInput;
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn model() -> PersonaModel {
    serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaModel", "metadata": {"name": "smollm2"},
        "spec": {
            "source": {"image": {"reference": "localhost/smollm2:1", "path": "model.gguf"}},
            "sha256": Digest::of(b"weights"),
            "runtime": {"resources": {"requests": {"cpu": "1"}}}
        }
    }))
    .unwrap()
}

pub(crate) fn policy(name: &str, generation: i64, vector: &str) -> PersonaPolicy {
    let mut policy: PersonaPolicy = serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": {"name": name, "namespace": "support", "generation": generation, "uid": format!("uid-{name}")},
        "spec": {
            "mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}, "model": "smollm2",
            "traits": [{"vector": vector, "action": "Block", "threshold": {"projection": 4.0}}]
        }
    }))
    .unwrap();
    policy.metadata.creation_timestamp =
        serde_json::from_value(json!("2026-11-24T08:00:00Z")).unwrap();
    policy
}

pub(crate) fn artefact(weights: &[u8], hidden: usize) -> Arc<Artefact> {
    Arc::new(Artefact {
        input: VectorInput {
            trait_name: "evil".into(),
            layer: Layer(15),
            model_digest: Digest::of(weights),
            values: vec![0.5; hidden],
            layers: vec![vec![0.5; hidden]; 17].into(),
            calibration: None,
            not_discriminative: false,
            does_not_steer: false,
        },
        digest: Digest::of(b"file"),
        norm: 1.0,
        method: "mean-difference/response-avg".into(),
        samples: SampleCounts { positive: 20, negative: 20 },
        auroc: Some(0.9),
        steering: Vec::new(),
        steers: None,
    })
}

pub(crate) fn inputs(policies: Vec<PersonaPolicy>) -> Inputs {
    Inputs {
        scope: Scope { namespace: "support".into(), model: "smollm2".into() },
        model: Some(Arc::new(model())),
        policies: policies.into_iter().map(Arc::new).collect(),
        leaving: Vec::new(),
        vectors: BTreeMap::from([("evil".to_owned(), Ok(artefact(b"weights", 8)))]),
        pods: Vec::new(),
        services: Vec::new(),
        reports: BTreeMap::new(),
        config_map: None,
        injection: None,
        excluded: None,
    }
}

pub(crate) fn pod(name: &str, sidecar: Option<&str>) -> PodView {
    PodView {
        namespace: "support".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        labels: BTreeMap::from([("app".to_owned(), "chat".to_owned())]),
        sidecar: sidecar.map(str::to_owned),
        ..PodView::default()
    }
}

/// A sidecar that serves and enforces these policies.
pub(crate) fn report(pod: &str, policies: &[&ResolvedPolicy]) -> PodCounts {
    let acknowledge = |policy: &&ResolvedPolicy| PolicyAcknowledgement {
        name: policy.name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
        digest: policy.digest.clone(),
        refused: Vec::new(),
    };
    PodCounts {
        name: pod.into(),
        uid: format!("uid-{pod}"),
        instance: "i".into(),
        sequence: 1,
        model: "smollm2".into(),
        policies: policies.iter().map(acknowledge).collect(),
        failure: None,
        config_error: None,
        state: PodState::Ready,
        model_digest: Some(Digest::of(b"weights")),
        totals: Totals::default(),
        traits: Vec::new(),
    }
}

pub(crate) fn settings(arguments: &[&str]) -> crate::settings::Settings {
    let base = [
        "personaguard-operator",
        "--namespace=personaguard-system",
        "--sidecar-image=localhost/personaguard:dev",
    ];
    let line = base.iter().chain(arguments).map(std::ffi::OsString::from);
    match crate::settings::Arguments::read(line).unwrap().command {
        crate::settings::Command::Run(settings) => *settings,
        crate::settings::Command::Check(_) => panic!("not run"),
    }
}

pub(crate) fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}
