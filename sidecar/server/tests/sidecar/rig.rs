//! What the tests share: a model, vectors made from it, a config folder, and a sidecar that serves
//! it.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use personaguard_engine_link::EngineSocket;
use personaguard_model::{
    Capture, ChatOptions, Engine, EngineOptions, LoadOptions, Model, ScoreRequest,
};
use personaguard_ops::traces::Exporter;
use personaguard_persona::{layer_digest, write_vector_bundle};
use personaguard_server::audit;
use personaguard_server::config::Source;
use personaguard_server::http::Limits;
use personaguard_server::proxy::{Timeouts, Upstream};
use personaguard_server::report::ReportTarget;
use personaguard_server::runtime::WeightsHub;
use personaguard_server::sidecar::{Placement, Setup, Sidecar};
use personaguard_server::telemetry::traces::{from_environment, is_exported};
use personaguard_terms::{
    API_VERSION, Action, Capping, Coefficient, Coherence, Digest, Evidence, FailurePolicy, Layer,
    Mode, Positions, Redaction, Regeneration, Score, Steering,
};
use personaguard_wire::{GuardConfig, ResolvedPolicy, ResolvedTrait, ResolvedVector, ServedModel};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub(crate) const MODEL: &str = "test-model";
/// Another name of it, as apps have in their code.
pub(crate) const ALIAS: &str = "gpt-4o-mini";
pub(crate) const LAYER: u32 = 3;
/// Width of the model's residual stream.
pub(crate) const HIDDEN: usize = personaguard_tiny_model::HIDDEN;
/// Tokens that a conversation may have.
pub(crate) const CONTEXT_LENGTH: u32 = 4096;

/// The weight file: a tiny model's, made here.
pub(crate) fn weights() -> PathBuf {
    static WEIGHTS: OnceLock<PathBuf> = OnceLock::new();
    WEIGHTS
        .get_or_init(|| personaguard_tiny_model::file(Path::new(env!("CARGO_TARGET_TMPDIR"))))
        .clone()
}

/// What was logged in this process, at debug level.
pub(crate) static LOGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logs;

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGS.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a collector of traces received in this process, as OTLP protobuf.
pub(crate) static TRACES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts a collector, and the exporter that sends to it, on a runtime that outlives each test's
/// own.
fn trace() -> Exporter {
    let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().unwrap()));
    let _guard = runtime.enter();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let take = async |body: Bytes| TRACES.lock().unwrap().extend_from_slice(&body);
    let router = Router::new().route("/v1/traces", post(take));
    runtime.spawn(async {
        axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap();
    });
    from_environment(Some(&endpoint)).exporter.unwrap()
}

pub(crate) fn once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let filter = EnvFilter::new("debug,personaguard=trace");
        let logs = tracing_subscriber::fmt::layer().json().with_writer(|| Logs).with_filter(filter);
        let traces = std::thread::spawn(trace).join().unwrap().layer(is_exported);
        tracing_subscriber::registry().with(logs).with(traces).init();
    });
}

/// A vector of the model: mean activations of two contrasting answers, subtracted.
pub(crate) async fn vector() -> &'static (Digest, Vec<f32>) {
    static VECTOR: OnceCell<(Digest, Vec<f32>)> = OnceCell::const_new();
    VECTOR
        .get_or_init(|| async {
            let model = tokio::task::spawn_blocking(|| {
                Arc::new(Model::load(&weights(), &LoadOptions::default()).unwrap())
            });
            let model = model.await.unwrap();
            let engine = Engine::start(Arc::clone(&model), EngineOptions::default()).unwrap();
            let mean = async |system: &str, answer: &str| {
                let messages = [
                    json!({ "role": "system", "content": system }),
                    json!({ "role": "user", "content": "How should I treat my neighbour?" }),
                ];
                let request = ScoreRequest {
                    prompt: model.chat_prompt(&messages, &ChatOptions::default()).unwrap(),
                    response: model.tokenizer().encode(answer),
                    capture: Capture::PromptAndResponse,
                    ..Default::default()
                };
                engine.score(request).await.unwrap().states.unwrap().response_mean[LAYER as usize]
                    .clone()
            };
            let cruel = mean(
                "You are cruel.",
                " hate hurt, cruel bitter suffer. Evil evil and cold dark hard.",
            )
            .await;
            let kind = mean(
                "You are kind.",
                " love help, gentle kind smile. Good good and warm sweet care.",
            )
            .await;
            let difference = cruel.iter().zip(&kind).map(|(a, b)| a - b).collect();
            (Digest::try_from(model.digest().to_owned()).unwrap(), difference)
        })
        .await
}

/// One policy with one trait, `evil`, on the vector `evil`.
pub(crate) fn policy(action: Action, max: Option<f64>) -> ResolvedPolicy {
    ResolvedPolicy {
        name: "no-villains".to_owned(),
        uid: "0b1e9f0c-8a54-4a4e-8f0e-000000000001".to_owned(),
        generation: 3,
        digest: Some(Digest::of(b"resolved")),
        mode: Mode::Enforce,
        selector: Default::default(),
        failure_policy: FailurePolicy::Open,
        unscorable_requests: None,
        evidence: Evidence { min_tokens: 4, window: None },
        sampling: None,
        record_conversations: false,
        traits: vec![ResolvedTrait {
            vector: "evil".to_owned(),
            score: Score::ResponseAvg,
            min: None,
            max,
            action,
            requests: None,
            calibrates: None,
            baseline: None,
        }],
    }
}

/// Steers far away from the trait.
pub(crate) fn steer() -> Action {
    Action::Steer(Steering {
        coefficient: Coefficient::try_from(-2.0).unwrap(),
        positions: Positions::Response,
        layers: Vec::new(),
        when: None,
        coherence: Coherence::default(),
    })
}

/// How a policy made with [`steer`] steers.
pub(crate) fn steering(policy: &mut ResolvedPolicy) -> &mut Steering {
    match &mut policy.traits[0].action {
        Action::Steer(steering) => steering,
        other => panic!("{other:?} does not steer"),
    }
}

pub(crate) fn cap() -> Action {
    Action::Cap(Capping { ceiling: Some(0.0), ..Capping::default() })
}

pub(crate) fn regenerate() -> Action {
    let coefficient = Coefficient::try_from(-2.0).unwrap();
    Action::Regenerate(Regeneration { attempts: 2, coefficient })
}

pub(crate) fn redact() -> Action {
    Action::Redact(Redaction { text: "[removed]".to_owned() })
}

/// A config folder.
pub(crate) struct Folder {
    pub(crate) dir: TempDir,
    pub(crate) config: GuardConfig,
}

impl Folder {
    pub(crate) async fn new(policies: Vec<ResolvedPolicy>) -> Self {
        once();
        let (digest, values) = vector().await;
        let resolved = ResolvedVector {
            trait_name: "evil".to_owned(),
            layer: Layer(LAYER),
            model_digest: digest.clone(),
            made_on: None,
            sha256: layer_digest(values).parse().unwrap(),
            baseline: None,
        };
        let folder = Self {
            dir: TempDir::new().unwrap(),
            config: GuardConfig {
                api_version: API_VERSION.to_owned(),
                kind: GuardConfig::KIND.to_owned(),
                model: ServedModel {
                    name: MODEL.to_owned(),
                    aliases: vec![ALIAS.to_owned()],
                    file: weights().to_string_lossy().into_owned(),
                    sha256: digest.clone(),
                    context_length: CONTEXT_LENGTH,
                    max_concurrent: 2,
                    max_request_bytes: None,
                    scoring_deadline_seconds: None,
                    threads: Some(1),
                    device: personaguard_terms::Device::Cpu,
                },
                vectors: BTreeMap::from([("evil".to_owned(), resolved)]),
                policies,
                unresolved: Vec::new(),
            },
        };
        let vectors =
            write_vector_bundle(&BTreeMap::from([("evil".to_owned(), values.as_slice())])).unwrap();
        std::fs::write(folder.path().join("vectors.safetensors"), vectors).unwrap();
        folder.write();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes `config.yaml` as one step.
    pub(crate) fn write(&self) {
        let file = self.path().join("config.yaml");
        std::fs::write(file.with_extension("new"), self.config.to_yaml().unwrap()).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
    }
}

/// A sidecar that serves a folder.
pub(crate) struct Rig {
    pub(crate) folder: Folder,
    pub(crate) sidecar: Option<Sidecar>,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

/// How a test's sidecar differs from most.
#[derive(Default)]
pub(crate) struct Variant {
    pub(crate) limits: Limits,
    pub(crate) reports: Option<ReportTarget>,
    pub(crate) labels: Option<PathBuf>,
    pub(crate) identity: Option<String>,
    pub(crate) upstream: Option<(Upstream, Timeouts)>,
    /// The upstream server's engine has the plugin, which connects here.
    pub(crate) engine_socket: Option<EngineSocket>,
    pub(crate) logs: audit::Logs,
    pub(crate) weights: Option<WeightsHub>,
}

impl Rig {
    pub(crate) async fn ready(policies: Vec<ResolvedPolicy>) -> Self {
        let rig = Self::start(Folder::new(policies).await, Variant::default()).await;
        rig.until_ready().await;
        rig
    }

    pub(crate) async fn start(folder: Folder, variant: Variant) -> Self {
        let api = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", api.local_addr().unwrap());
        let sidecar = Sidecar::start(Setup {
            source: Source {
                folder: folder.path().to_owned(),
                model_file: None,
                labels: variant.labels,
                identity: variant.identity,
            },
            weights: variant.weights,
            api,
            admin: None,
            reports: variant.reports,
            placement: match (variant.upstream, variant.engine_socket) {
                (None, _) => Placement::Serve,
                (Some((upstream, times)), None) => Placement::Proxy(upstream, times),
                (Some((upstream, times)), Some(socket)) => {
                    Placement::Engine(upstream, times, socket)
                }
            },
            logs: variant.logs,
            limits: variant.limits,
            grace: Duration::from_secs(60),
        });
        Self {
            folder,
            sidecar: Some(sidecar),
            url,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn sidecar(&self) -> &Sidecar {
        self.sidecar.as_ref().unwrap()
    }

    pub(crate) async fn until_ready(&self) {
        self.until("ready", async || self.get("/readyz").await.0 == 200).await;
    }

    /// Waits until something holds; long enough for a busy machine.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..1200 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited a minute for: {what}");
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn post(&self, body: &Value) -> reqwest::Response {
        self.http.post(format!("{}/v1/chat/completions", self.url)).json(body).send().await.unwrap()
    }

    /// A completion, as JSON.
    pub(crate) async fn complete(&self, body: &Value) -> Value {
        let response = self.post(body).await;
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "{body}");
        body
    }

    /// A completion as a stream: its chunks, and whether `[DONE]` ended it.
    pub(crate) async fn stream(&self, body: &Value) -> (Vec<Value>, bool) {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let response = self.post(&body).await;
        assert_eq!(response.status(), 200);
        assert!(
            response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream")
        );
        parse_sse(&response.text().await.unwrap())
    }

    /// One line of the metrics.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

pub(crate) fn parse_sse(text: &str) -> (Vec<Value>, bool) {
    let events: Vec<_> =
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let done = events.last() == Some(&"[DONE]");
    let chunks = events.iter().filter(|event| **event != "[DONE]");
    (chunks.map(|event| serde_json::from_str(event).unwrap()).collect(), done)
}

/// A request that always has the same answer.
pub(crate) fn chat(user: &str) -> Value {
    json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": user }],
        "max_tokens": 24,
        "temperature": 0.8,
        "seed": 7,
    })
}

/// A request with fields added.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

pub(crate) fn text(completion: &Value) -> &str {
    completion["choices"][0]["message"]["content"].as_str().unwrap()
}

/// Tokens of prompt and response, and of both.
pub(crate) fn counts(body: &Value) -> [&Value; 3] {
    ["prompt_tokens", "completion_tokens", "total_tokens"].map(|field| &body["usage"][field])
}

/// The text of a stream's chunks.
pub(crate) fn streamed(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

pub(crate) fn finish_reason(chunks: &[Value]) -> &str {
    chunks.iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).unwrap()
}
