//! Objects that tests start from.

mod fake_api;

pub(crate) use fake_api::{Asked, FakeApi};

use crate::context::{
    ApiHealth, Cluster, Context, Events, Fence, Metrics, Moment, Queue, Stores, fenced_client,
};
use crate::objects::PodView;
use crate::settings::{Arguments, Command, Settings};
use crate::vector::Artifact;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use personaguard_api::{
    ActionKind, Connections, Digest, LastBreach, Layer, Mode, PersonaModel, PersonaPolicy,
    PodCounts, PodState, PolicyAcknowledgement, SampleCounts, Totals, TraitScores,
};
use personaguard_resolve::VectorInput;
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn model() -> PersonaModel {
    serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaModel",
        "metadata": {"name": "smollm2"},
        "spec": {
            "source": {"image": {"reference": "localhost/smollm2:1", "path": "model.gguf"}},
            "sha256": Digest::of(b"weights"),
            "runtime": {"resources": {"requests": {"cpu": "1"}}}
        }
    }))
    .unwrap()
}

pub(crate) fn policy(name: &str, generation: i64, vector: &str) -> PersonaPolicy {
    serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": {
            "name": name, "namespace": "support", "uid": format!("uid-{name}"),
            "generation": generation, "creationTimestamp": "2026-11-24T08:00:00Z"
        },
        "spec": {
            "mode": "Enforce", "selector": {"matchLabels": {"app": "chat"}}, "model": "smollm2",
            "traits": [{"vector": vector, "action": "Block", "threshold": {"projection": 4.0}}]
        }
    }))
    .unwrap()
}

/// A vector that was extracted from these weights.
pub(crate) fn artifact(weights: &[u8], hidden: usize) -> Arc<Artifact> {
    Arc::new(Artifact {
        input: VectorInput {
            trait_name: "evil".into(),
            layer: Layer(15),
            model_digest: Digest::of(weights),
            made_on: None,
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

/// The report of a sidecar that serves its model and enforces these policies.
pub(crate) fn report(pod: &str, policies: &[&ResolvedPolicy]) -> PodCounts {
    let acknowledge = |policy: &&ResolvedPolicy| PolicyAcknowledgement {
        name: policy.name.clone(),
        uid: policy.uid.clone(),
        generation: policy.generation,
        digest: policy.digest.clone(),
        refused: Vec::new(),
        stale: Vec::new(),
    };
    PodCounts {
        name: pod.into(),
        uid: format!("uid-{pod}"),
        instance: "i".into(),
        restarts: 0,
        own_address: true,
        sequence: 1,
        model: "smollm2".into(),
        policies: policies.iter().map(acknowledge).collect(),
        failure: None,
        config_error: None,
        state: PodState::Ready,
        model_digest: Some(Digest::of(b"weights")),
        totals: Totals::default(),
        connections: Connections::default(),
        traits: Vec::new(),
        audit_log: None,
    }
}

pub(crate) fn settings(arguments: &[&str]) -> Settings {
    let base = [
        "personaguard-operator",
        "--namespace=personaguard-system",
        "--sidecar-image=localhost/personaguard:dev",
    ];
    let line = base.iter().chain(arguments).map(std::ffi::OsString::from);
    match Arguments::from_line(line).unwrap().command {
        Command::Run(settings) => *settings,
        Command::Check(_) | Command::Uninstall(_) => panic!("not run"),
    }
}

pub(crate) fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// Seconds after a fixed time.
pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A policy with a recovery time of 60 s.
pub(crate) fn policy_created_at(at: i64) -> PersonaPolicy {
    let mut policy: PersonaPolicy = serde_json::from_value(json!({
        "apiVersion": "personaguard.dev/v1alpha1", "kind": "PersonaPolicy",
        "metadata": {"name": "no-villains"},
        "spec": {
            "mode": "Enforce", "selector": {}, "model": "m", "recoverAfterSeconds": 60,
            "traits": [{"vector": "evil", "action": "Alert", "threshold": {"projection": 4.0}}]
        }
    }))
    .unwrap();
    policy.metadata.creation_timestamp = Some(Time(second(at)));
    policy
}

/// One response, which breached the threshold 4.0 of that policy.
pub(crate) fn breach_at(at: i64, score: f64) -> TraitScores {
    TraitScores {
        policy: "no-villains".into(),
        vector: "evil".into(),
        score: personaguard_api::Score::default(),
        mode: Mode::Enforce,
        action: ActionKind::Alert,
        scored: 1,
        breaches: 1,
        mean: Some(score),
        sum_squared_deviations: 0.0,
        max: Some(score),
        last_breach: Some(LastBreach {
            at: Time(second(at)),
            score,
            threshold: 4.0,
            response_id: "chatcmpl-1".into(),
        }),
        drift: None,
        sample: None,
    }
}

/// A leader's context, with an API server that a test makes up.
pub(crate) fn context(server: &FakeApi) -> Arc<Context> {
    let fence = Fence::default();
    fence.open_for(std::time::Duration::from_secs(3600), Moment::now());
    let client = fenced_client(server.config(), fence.clone(), ApiHealth::default()).unwrap();
    let metrics = Arc::new(Metrics::new());
    Arc::new(Context {
        settings: Arc::new(settings(&[])),
        cluster: Cluster::new(client.clone(), fence.clone(), Arc::clone(&metrics)),
        stores: Stores::default(),
        queue: Queue::new(),
        events: Events::new(client, "me".into(), fence),
        metrics,
    })
}
