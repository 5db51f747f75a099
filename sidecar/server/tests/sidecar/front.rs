//! A sidecar in front of a scripted vLLM with the plugin.

use crate::rig::{Folder, HIDDEN, Rig, Variant, chat, policy, with};
use crate::vllm::{Fault, Vllm};
use personaguard_engine_link::EngineSocket;
use personaguard_server::proxy::Timeouts;
use personaguard_terms::{Action, FailurePolicy};
use personaguard_wire::ResolvedPolicy;
use serde_json::{Value, json};
use std::time::Duration;

/// A sidecar in front of vLLM.
pub(crate) struct Front {
    pub(crate) rig: Rig,
    pub(crate) vllm: Vllm,
}

/// How long text waits for its scores in these tests, where nothing else is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Front {
    /// Without the plugin.
    pub(crate) async fn alone(policies: Vec<ResolvedPolicy>, score: Duration) -> Self {
        let mut folder = Folder::new(policies).await;
        // No weights are needed here.
        folder.config.model.file = "nowhere.gguf".to_owned();
        folder.write();
        let path = folder.path().join("engine.sock");
        let socket = EngineSocket::bind(&path).unwrap();
        let vllm = Vllm::start(&path, folder.config.model.sha256.as_str()).await;
        let times = Timeouts { score, ..Timeouts::default() };
        let variant = Variant {
            upstream: Some((vllm.url.parse().unwrap(), times)),
            engine_socket: Some(socket),
            ..Variant::default()
        };
        Self { rig: Rig::start(folder, variant).await, vllm }
    }

    pub(crate) async fn of(policies: Vec<ResolvedPolicy>, score: Duration) -> Self {
        let front = Self::alone(policies, score).await;
        front.connect().await;
        front
    }

    pub(crate) async fn ready(policies: Vec<ResolvedPolicy>) -> Self {
        Self::of(policies, PATIENCE).await
    }

    pub(crate) async fn connect(&self) {
        self.vllm.connect(HIDDEN).await;
        self.until_serving().await;
    }

    /// The engine starts anew, if it was lost.
    pub(crate) async fn recover(&self, fault: Option<Fault>) {
        if matches!(fault, Some(Fault::Gone(_) | Fault::Noise(_))) {
            self.vllm.disconnect();
            self.rig.until("gone", async || self.rig.sidecar().app().served().is_none()).await;
            self.connect().await;
        }
    }

    pub(crate) async fn until_serving(&self) {
        self.rig.until("it serves", async || self.rig.sidecar().app().served().is_some()).await;
    }

    pub(crate) fn metric(&self, series: &str) -> f64 {
        let metrics = self.rig.sidecar().app().encode_metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    pub(crate) async fn until_metric(&self, series: &str, value: f64) {
        self.rig.until(series, async || (self.metric(series) - value).abs() < 0.01).await;
    }

    /// The text of a stream, how it ended, and all bytes of it.
    pub(crate) async fn stream(&self, fields: Value) -> (String, String) {
        let body = with(with(question(), json!({ "stream": true })), fields);
        let response = self.rig.post(&body).await;
        let all = response.text().await.unwrap_or_default();
        let events = all.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let said = events.filter_map(|event| {
            let event: Value = serde_json::from_str(event).ok()?;
            event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
        });
        (said.collect(), all)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let url = format!("{}{path}", self.rig.url);
        let response = self.rig.http.post(url).json(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The plans that the engine was told, since the last call, with the bodies that they came in.
    pub(crate) fn take_plans(&self) -> Vec<(Value, Value)> {
        let bodies = self.vllm.take_bodies().into_iter();
        bodies
            .map(|body| {
                let plan = body["vllm_xargs"]["personaguard"].as_str().unwrap();
                (serde_json::from_str(plan).unwrap(), body)
            })
            .collect()
    }
}

pub(crate) fn question() -> Value {
    chat("How should I treat my neighbour?")
}

pub(crate) fn closed(policy: ResolvedPolicy) -> ResolvedPolicy {
    ResolvedPolicy { failure_policy: FailurePolicy::Closed, ..policy }
}

pub(crate) fn block() -> ResolvedPolicy {
    closed(policy(Action::Block, Some(1.0)))
}

pub(crate) const GOOD: [f32; 12] = [0.0; 12];
/// The mean passes 1 with the seventh token.
pub(crate) const EVIL: [f32; 12] = [0.0, 0.0, 0.0, 0.0, 4.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0];
