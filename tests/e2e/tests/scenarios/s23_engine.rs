//! 23. A Deployment of vLLM is guarded from inside: the plugin gets into it without another image,
//!     an evil answer is blocked and shows everywhere, an edit to Steer is enforced within 2 s
//!     without a restart, and a request past the sidecar is found.

use anyhow::{Context, Result};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt};
use personaguard_api::{Digest, PersonaModel, PersonaPolicy, PersonaVector, names};
use personaguard_e2e::alerting::{Alerting, chart_rules};
use personaguard_e2e::chat::{Chat, request, text};
use personaguard_e2e::fixture::{self, PATIENCE};
use personaguard_e2e::vllm::{self, Vllm};
use personaguard_e2e::{Fixture, environment, objects, prompts, wait};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const MODEL: &str = "s23-vllm";
const VECTOR: &str = "s23-evil";
/// Until vLLM serves, on a busy machine. It is begun while other scenarios run.
const START: Duration = Duration::from_secs(600);
/// For the report, the condition and the Events of a breach, and for an edit to be enforced.
const LIMIT: Duration = Duration::from_secs(2);

/// The namespace in which vLLM starts, once it does.
static BEGUN: OnceLock<String> = OnceLock::new();

/// Has vLLM start, and does not wait: scenarios that measure no times may run meanwhile.
pub(crate) async fn begin() -> Result<()> {
    let fixture = Fixture::new("s23").await?;
    let vllm = Vllm::find()?;
    let served = vllm.digest()?;
    fixture
        .apply(&json!({
            "apiVersion": personaguard_api::API_VERSION, "kind": "PersonaModel",
            "metadata": { "name": MODEL }, "spec": { "engine": "Vllm", "sha256": served }
        }))
        .await?;
    let sha256 = fixture.upload_vector("vector-s23-evil", vector_for(&served)?).await?;
    let mut vector = fixture::vector_manifest(VECTOR, "evil", "vector-s23-evil", &sha256);
    vector["spec"]["model"] = json!(MODEL);
    vector["spec"]["layer"] = json!(prompts::EVIL_LAYER);
    fixture.apply(&vector).await?;
    fixture.apply(&policy(&fixture.namespace, "Block")).await?;
    // A pod is injected when it is created.
    fixture.policy_condition("Accepted", "True").await?;
    let deployment = vllm.deployment(&fixture.namespace, "llm", prompts::EVIL_LAYER)?;
    fixture.apply(&deployment).await?;
    let service = objects::service(&fixture.namespace, "llm", "llm", &json!("http"));
    fixture.apply(&service).await?;
    // Only one scenario at a time runs.
    let _ = BEGUN.set(fixture.namespace);
    Ok(())
}

/// The vector of all scenarios, bound to the folder that vLLM serves: the same weights as those
/// that it was made on, in another file.
fn vector_for(served: &Digest) -> Result<Vec<u8>> {
    let weights = Digest::of(&std::fs::read(environment::path("PERSONAGUARD_TEST_MODEL")?)?);
    let mut file =
        std::fs::read(environment::path("PERSONAGUARD_TEST_VECTORS")?.join("evil.safetensors"))?;
    let made_on = weights.as_str().as_bytes();
    let at = file.windows(made_on.len()).position(|bytes| bytes == made_on);
    let at = at.context("the vector does not name the weights that it was made on")?;
    file[at..at + made_on.len()].copy_from_slice(served.as_str().as_bytes());
    Ok(file)
}

fn policy(namespace: &str, action: &str) -> Value {
    let mut rule = json!({ "vector": VECTOR, "threshold": { "sigma": 3 }, "action": action });
    if action == "Steer" {
        rule["steer"] = json!({ "coefficient": -2.0, "positions": "All" });
    }
    let mut policy = objects::policy(namespace, &json!({ "app": "llm" }), &json!([rule]));
    let spec = &mut policy["spec"];
    (spec["model"], spec["failurePolicy"]) = (json!(MODEL), json!("Closed"));
    (spec["placement"], spec["port"]) = (json!("Engine"), json!("http"));
    policy
}

/// The scenario's part of the cluster, in which vLLM has begun to start.
async fn begun() -> Result<Fixture> {
    if BEGUN.get().is_none() {
        begin().await?;
    }
    // Clients do not outlive the test that made them.
    let namespace = BEGUN.get().context("nothing was begun")?.clone();
    Ok(Fixture { client: Client::try_default().await?, namespace })
}

/// Waits until vLLM serves, and the sidecar in front of it. Says what is wrong if they do not.
async fn serving(fixture: &Fixture) -> Result<Pod> {
    let pods: Api<Pod> = fixture.api();
    let selector = ListParams::default().labels("app=llm");
    let found = wait::until("vLLM and its sidecar to be ready", START, || async {
        let pod = pods.list(&selector).await?.items.into_iter().next().context("no pod")?;
        let statuses = pod.status.as_ref().and_then(|it| it.container_statuses.as_ref());
        let restarts = statuses.into_iter().flatten().map(|it| it.restart_count).max();
        // It will not get better.
        if restarts > Some(3) {
            return Ok(Some((pod, false)));
        }
        Ok(fixture::is_ready(&pod).then_some((pod, true)))
    })
    .await;
    let error = match found {
        Ok(((pod, true), took)) => {
            println!("ready {took:?} after the scenario began");
            return Ok(pod);
        }
        Ok(_) => anyhow::anyhow!("vLLM ends again and again"),
        Err(error) => error,
    };
    Err(error.context(situation(fixture).await))
}

/// What helps to understand a failure.
async fn situation(fixture: &Fixture) -> String {
    let mut all = String::new();
    let policies: Api<PersonaPolicy> = fixture.api();
    let policy = policies.get("no-villains").await.ok().and_then(|it| it.status);
    let models: Api<PersonaModel> = Api::all(fixture.client.clone());
    let model = models.get(MODEL).await.ok().and_then(|it| it.status);
    let conditions = policy.into_iter().flat_map(|it| it.conditions);
    for it in conditions.chain(model.into_iter().flat_map(|it| it.conditions)) {
        all.push_str(&format!("{}={} {}: {}\n", it.type_, it.status, it.reason, it.message));
    }
    let pods: Api<Pod> = fixture.api();
    for pod in pods.list(&ListParams::default()).await.map(|it| it.items).unwrap_or_default() {
        let status = pod.status.clone().unwrap_or_default();
        let initial = status.init_container_statuses.iter().flatten();
        for it in initial.chain(status.container_statuses.iter().flatten()) {
            all.push_str(&format!("{}: {:?}, before: {:?}\n", it.name, it.state, it.last_state));
        }
        for container in [names::CONTAINER, vllm::CONTAINER] {
            all.push_str(&vllm::log(&pods, &pod, container).await);
        }
        for event in fixture.events("Pod", &pod.name_any()).await.unwrap_or_default() {
            all.push_str(&format!("{:?}: {:?}\n", event.reason, event.message));
        }
    }
    all
}

async fn answer(chat: &Chat, system: &str) -> Result<Value> {
    let mut body = request(Some(system), prompts::QUESTIONS[0]);
    // The sidecar's own extension, which vLLM need not know.
    body.as_object_mut().into_iter().for_each(|body| drop(body.remove("personaguard")));
    let response = chat.send(&body).await?;
    let status = response.status();
    let said = response.text().await?;
    anyhow::ensure!(status == 200, "{status}: {said}");
    Ok(serde_json::from_str(&said)?)
}

async fn generation_in_force(pod: &Pod) -> Result<i64> {
    let metrics = fixture::metrics(pod).await?;
    let line = metrics.lines().find(|it| it.starts_with("personaguard_policy_generation{"));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(value.map_or(0, |value| value as i64))
}

/// An evil answer is blocked, and within 2 s the cluster shows it everywhere.
async fn breach(fixture: &Fixture, pod: &Pod, guarded: &Chat) -> Result<()> {
    let rules = chart_rules()?;
    let target = format!("{}:{}", fixture::address(pod)?, names::ADMIN_PORT);
    let alerting = Alerting::start(rules.path(), &[target])?;
    let plain = answer(guarded, prompts::PLAIN).await?;
    assert_ne!(plain["choices"][0]["finish_reason"], "content_filter", "{plain}");
    assert!(!text(&plain).is_empty(), "{plain}");
    fixture.policy_condition("TraitBreached", "False").await?;

    let blocked = answer(guarded, prompts::EVIL).await?;
    let at = Instant::now();
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter", "{blocked}");
    let counted = |report: &personaguard_api::PersonaReport| {
        let totals = report.status.as_ref().map(|status| &status.totals);
        totals.is_some_and(|it| (it.responses, it.breaches, it.blocked) == (2, 1, 1))
    };
    fixture.report("llm", "two answers, one of them blocked", counted).await?;
    fixture.policy_condition("TraitBreached", "True").await?;
    for (kind, name) in [("Deployment", "llm"), ("PersonaPolicy", "no-villains")] {
        wait::until(&format!("an Event on {kind}/{name}"), PATIENCE, || async {
            let mut events = fixture.events(kind, name).await?.into_iter();
            Ok(events.find(|event| event.reason.as_deref() == Some("TraitBreached")))
        })
        .await?;
    }
    let took = at.elapsed();
    println!("report, condition and Events after {took:?}");
    assert!(took <= LIMIT, "report, condition and Events took {took:?}");
    let (alert, _) = wait::until("the Alertmanager to have the alert", PATIENCE, || async {
        let mut alerts = alerting.alerts().await?.into_iter();
        Ok(alerts.find(|it| it["labels"]["alertname"] == "PersonaGuardTraitBreached"))
    })
    .await?;
    println!("alert after {:?}: {}", at.elapsed(), alert["labels"]);
    Ok(())
}

/// An edit to Steer is enforced within 2 s, by the engine that runs.
async fn edit(fixture: &Fixture, pod: &Pod) -> Result<()> {
    let policies: Api<PersonaPolicy> = fixture.api();
    let before = policies.get("no-villains").await?.metadata.generation.unwrap_or_default();
    fixture.apply(&policy(&fixture.namespace, "Steer")).await?;
    let edited = Instant::now();
    wait::until("the sidecar to enforce the edit", PATIENCE, || async {
        Ok((generation_in_force(pod).await? == before + 1).then_some(()))
    })
    .await?;
    let took = edited.elapsed();
    println!("enforced {took:?} after the edit");
    assert!(took <= LIMIT, "enforced after {took:?}");
    fixture.policy_condition("Ready", "True").await?;
    Ok(())
}

#[tokio::test]
async fn s23_vllm_is_guarded_from_inside() -> Result<()> {
    let fixture = begun().await?;
    let pod = serving(&fixture).await?;
    let ended = AssertUnwindSafe(scenario(&fixture, &pod)).catch_unwind().await;
    if !matches!(ended, Ok(Ok(()))) {
        eprintln!("{}", situation(&fixture).await);
    }
    match ended {
        Ok(result) => result?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    Api::<PersonaVector>::all(fixture.client.clone())
        .delete(VECTOR, &DeleteParams::default())
        .await?;
    Api::<PersonaModel>::all(fixture.client.clone())
        .delete(MODEL, &DeleteParams::default())
        .await?;
    fixture.finish().await
}

async fn scenario(fixture: &Fixture, pod: &Pod) -> Result<()> {
    fixture.policy_condition("Ready", "True").await?;
    fixture.policy_condition("BypassDetected", "False").await?;
    let address = fixture::address(pod)?;
    let guarded = Chat::new(&format!("{address}:{}", names::API_PORT))?;
    let direct = Chat::new(&format!("{address}:{}", vllm::PORT))?;
    breach(fixture, pod, &guarded).await?;
    edit(fixture, pod).await?;
    let steered = answer(&guarded, prompts::EVIL).await?;
    assert_ne!(steered["choices"][0]["finish_reason"], "content_filter", "{steered}");

    // What reaches vLLM itself is not guarded, and the plugin counts it.
    let own = answer(&direct, prompts::EVIL).await?;
    assert_ne!(text(&own), text(&steered), "steering has changed the answer");
    let (policy, took) = fixture.policy_condition("BypassDetected", "True").await?;
    let found = fixture::condition(&policy, "BypassDetected").context("no condition")?;
    println!("after {took:?}: {}: {}", found.reason, found.message);
    assert_eq!(found.reason, "ConnectionsBypassSidecar", "{}", found.message);
    let metrics = fixture::metrics(pod).await?;
    let foreign = "personaguard_engine_foreign_requests_total 1";
    assert!(metrics.lines().any(|line| line.starts_with(foreign)), "{metrics}");
    let plugin = metrics.lines().find(|line| line.starts_with("personaguard_engine_connected{"));
    assert!(plugin.is_some_and(|line| line.ends_with(" 1")), "{plugin:?}");

    let now = fixture.ready_pod("llm").await?;
    assert_eq!(now.uid(), pod.uid(), "the same pod");
    let status = now.status.unwrap_or_default();
    let initial = status.init_container_statuses.iter().flatten();
    let restarts = initial.chain(status.container_statuses.iter().flatten());
    assert_eq!(restarts.map(|it| it.restart_count).sum::<i32>(), 0, "no container restarted");
    Ok(())
}
